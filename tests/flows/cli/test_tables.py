"""What the outcome says where there is little to say."""

import io
from typing import Any

import pytest
from rich.console import Console

from flows.cli.tables import show_outcome

CELL = {"contamination": "clean", "loss": "l2", "lr": 0.03, "sigma": 0.0, "batch_size": 32}
EFFECT = {**CELL, "order": "sequential", "log_ratio": 0.1, "lo": -0.1, "hi": 0.3, "p_holm": 1.0}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Nothing diverged."),
        ({}, "Of the trials that are ranked none stayed finite."),
        ({"orders": [EFFECT]}, "The order changed the error in none of 1 cells (Holm p < .05)."),
    ],
    ids=["no divergence", "no winner", "no order effect"],
)
def test_where_a_table_would_be_empty_there_is_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    outcome = {"study": "small", "trials": 2, "replicates": 8, "lanes": 16}
    outcome |= {"best": [], "diverged": [], "orders": []} | fields
    console = Console(file=io.StringIO(), width=120)
    show_outcome(console, outcome)
    assert sentence in console.file.getvalue().splitlines()  # type: ignore[attr-defined]
