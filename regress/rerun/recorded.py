"""What is held against a rerun."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regress.rerun.rows import Rows
from regress.study import Study


@dataclass(frozen=True)
class Record:
    """What an execution left: its study, its rows of results.parquet, its environment."""

    run_id: str
    experiment_id: str
    study: Study
    rows: Rows
    environment: Mapping[str, Any]
    hours_since_last: float | None  # since the last verdict on it
