"""The exercises of the notebook that this project grew from, and the ensembles of their numbers."""

from regress.notebook.ensembles import (
    BLOCK,
    CURVES,
    Row,
    Trained,
    distinct_trials,
    joined,
    last_batch_row,
    row,
    rows,
    train_block,
)
from regress.notebook.exercises import CONTROL, EXERCISES, HIGH, LAST_BATCH, LOW, REPLICATES, Exercise, Fit

__all__ = [
    "BLOCK",
    "CONTROL",
    "CURVES",
    "EXERCISES",
    "HIGH",
    "LAST_BATCH",
    "LOW",
    "REPLICATES",
    "Exercise",
    "Fit",
    "Row",
    "Trained",
    "distinct_trials",
    "joined",
    "last_batch_row",
    "row",
    "rows",
    "train_block",
]
