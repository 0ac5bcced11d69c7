"""The files of an execution: its outcome, its results and its figures."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from regress.comparison import OrderEffect, RelativeEfficiency
from regress.metrics.results import write_parquet
from regress.metrics.summary import TrialSummary
from regress.plots import render_study_figures
from regress.report.json import to_json
from regress.report.study_result import StudyResult
from regress.study import Study


def outcome_files(result: StudyResult) -> dict[str, bytes]:
    """Return the execution's artifacts by path, without figures: results, contaminated rows, comparison."""
    published = [asdict(row) for row in result.published]
    return {
        "results.parquet": write_parquet(result.tables),
        "contaminated.parquet": _contaminated(result.contaminated),
        "comparison.json": to_json(result.outcome.as_json()).encode(),
        **({"published.json": to_json(published).encode()} if published else {}),
    }


def figure_files(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    efficiencies: Sequence[RelativeEfficiency],
) -> dict[str, bytes]:
    """Return the execution's figures by path."""
    plots = render_study_figures(study, summaries, effects, efficiencies)
    return {f"plots/{name}": png for name, png in plots.items()}


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
