"""The outcome of a study as JSON, and the files of its execution."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from regress.comparison import Comparison
from regress.estimators.references import RelativeEfficiency
from regress.metrics.results import write_parquet
from regress.metrics.summary import TrialSummary
from regress.plots import study_plots
from regress.report.study_result import StudyResult
from regress.study import Study


def outcome_files(result: StudyResult) -> dict[str, bytes]:
    """Return the execution's artifacts by path, without figures: results, contaminated rows, comparison."""
    published = [check.as_json() for check in result.published]
    return {
        "results.parquet": write_parquet(result.tables),
        "contaminated.parquet": _contaminated(result.contaminated),
        "comparison.json": as_json(outcome_json(result)).encode(),
        **({"published.json": as_json(published).encode()} if published else {}),
    }


def outcome_figures(
    study: Study,
    summaries: Sequence[TrialSummary],
    comparison: Comparison,
    efficiencies: Sequence[RelativeEfficiency],
) -> dict[str, bytes]:
    """Return the execution's figures by path."""
    plots = study_plots(study, summaries, comparison.orders, efficiencies)
    return {f"plots/{name}": png for name, png in plots.items()}


def outcome_json(result: StudyResult) -> dict[str, Any]:
    """Return what `regress run --json` and comparison.json hold of a result."""
    study, published = result.study, [check.as_json() for check in result.published]
    return {
        "study": study.name,
        "trials": len(study.trials),
        "replicates": study.replicates,
        "lanes": len(study.trials) * study.replicates,
        **result.comparison.as_json(),
        "references": [asdict(row) for row in result.efficiencies],
        **({"published": published} if published else {}),
    }


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


def _contaminated(contaminated: Mapping[str, NDArray[np.bool_]]) -> bytes:
    """Return a line for each training row that a contamination replaced, as Parquet."""
    marks = {name: np.nonzero(mask) for name, mask in contaminated.items()}
    columns = {
        "contamination": [name for name, (rows, _) in marks.items() for _ in rows],
        "replicate": np.concatenate([replicates for replicates, _ in marks.values()]),
        "row": np.concatenate([rows for _, rows in marks.values()]),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()
