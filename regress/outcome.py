"""What an execution leaves beside its trials."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from regress.compare import Comparison
from regress.plots import study_plots
from regress.problems import Data
from regress.results import parquet
from regress.shards import Evaluated
from regress.study import Study


def outcome_files(
    study: Study,
    contaminated: Mapping[str, Data],
    evaluated: Sequence[Evaluated],
    comparison: Comparison,
) -> dict[str, bytes]:
    """The execution's artifacts by path: the results, the contaminated rows, the comparison, figures."""
    summaries = [summary for shard in evaluated for summary in shard.summaries]
    plots = study_plots(study, summaries, comparison.orders)
    return {
        "results.parquet": parquet([shard.table for shard in evaluated]),
        "contaminated.parquet": _contaminated(contaminated),
        "comparison.json": as_json(outcome_json(study, comparison)).encode(),
        **{f"plots/{name}": png for name, png in plots.items()},
    }


def outcome_json(study: Study, comparison: Comparison) -> dict[str, Any]:
    trials = len(study.trials())
    return {
        "study": study.name,
        "trials": trials,
        "replicates": study.replicates,
        "lanes": trials * study.replicates,
        **comparison.as_json(),
    }


def as_json(content: Any) -> str:
    """JSON, which has no infinity and no nan: they become null."""
    return json.dumps(_finite(content), indent=1, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
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
