"""What an execution leaves beside its trials."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regress.comparison import Comparison
from regress.estimators.published import Check
from regress.estimators.references import Beside
from regress.metrics.results import parquet
from regress.metrics.summary import TrialSummary
from regress.pipeline.steps import EvaluatedShard
from regress.plots import study_plots
from regress.problems import Data
from regress.study import Study


@dataclass(frozen=True)
class StudyResult:
    """A study's trials against one another, beside the field's own estimators and what others published."""

    comparison: Comparison
    references: tuple[Beside, ...]
    published: tuple[Check, ...]  # only of a data set that others have published fits to


def outcome_files(
    study: Study,
    contaminated: Mapping[str, Data],
    evaluated: Sequence[EvaluatedShard],
    findings: StudyResult,
) -> dict[str, bytes]:
    """The execution's artifacts by path, without figures: results, contaminated rows, comparison."""
    return {
        "results.parquet": parquet([shard.table for shard in evaluated]),
        "contaminated.parquet": _contaminated(contaminated),
        "comparison.json": as_json(outcome_json(study, findings)).encode(),
        **({"published.json": as_json(_published(findings)).encode()} if findings.published else {}),
    }


def outcome_figures(
    study: Study, summaries: Sequence[TrialSummary], findings: StudyResult
) -> dict[str, bytes]:
    """The execution's figures by path."""
    plots = study_plots(study, summaries, findings.comparison.orders, findings.references)
    return {f"plots/{name}": png for name, png in plots.items()}


def outcome_json(study: Study, findings: StudyResult) -> dict[str, Any]:
    trials = len(study.trials)
    return {
        "study": study.name,
        "trials": trials,
        "replicates": study.replicates,
        "lanes": trials * study.replicates,
        **findings.comparison.as_json(),
        "references": [asdict(row) for row in findings.references],
        **({"published": _published(findings)} if findings.published else {}),
    }


def _published(findings: StudyResult) -> list[dict[str, Any]]:
    return [check.as_json() for check in findings.published]


def as_json(content: Any) -> str:
    """JSON of `finite` content."""
    return json.dumps(finite(content), indent=1, allow_nan=False)


def finite(content: Any) -> Any:
    """The same with None for infinity and nan, which JSON does not have."""
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def _contaminated(contaminated: Mapping[str, Data]) -> bytes:
    """One line for each training row that a contamination replaced."""
    marks = {name: np.nonzero(data.contaminated) for name, data in contaminated.items()}
    columns = {
        "contamination": [name for name, (rows, _) in marks.items() for _ in rows],
        "replicate": np.concatenate([replicates for replicates, _ in marks.values()]),
        "row": np.concatenate([rows for _, rows in marks.values()]),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()
