"""The printed outcome of studies whose tables are empty."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from flows.cli.tables import print_outcome
from regress.comparison import OrderEffect
from regress.report.outcome import Outcome

EFFECT = OrderEffect("sequential", "clean", "l2", 0.03, 0.0, 32, 0.1, -0.1, 0.3, 1.0, 8, 0)
NOTHING = Outcome("small", 2, 8, 16, 0, (), (), (), (), ())


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (NOTHING, "No trial diverged."),
        (NOTHING, "All trials in the ranking diverged."),
        (
            replace(NOTHING, orders=(EFFECT,)),
            "The order changed the error in none of 1 settings (adjusted p < 0.05, Holm).",
        ),
    ],
    ids=["no divergence", "no winner", "no order effect"],
)
def test_a_sentence_replaces_an_empty_table(outcome: Outcome, sentence: str) -> None:
    console = Console(file=io.StringIO(), width=120)
    print_outcome(console, outcome)
    assert sentence in console.file.getvalue().splitlines()  # type: ignore[attr-defined]
