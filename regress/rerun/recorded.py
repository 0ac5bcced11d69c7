"""The recorded execution that a rerun is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regress.rerun.rows import Rows
from regress.study import Study


@dataclass(frozen=True)
class RecordedExecution:
    """An execution's study, rows of results.parquet and environment, as recorded."""

    run_id: str
    experiment_id: str
    study: Study
    rows: Rows
    environment: Mapping[str, Any]
    hours_since_last: float | None  # since the last verdict on it; None if there is none
