"""The exercises of the notebook that this project grew from, trained with thousands of seeds."""

from regress.notebook.ensembles import (
    BLOCK,
    CURVES,
    Row,
    Trained,
    distinct_trials,
    join_blocks,
    locate,
    locate_exercises,
    locate_last_batch,
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
    "join_blocks",
    "locate",
    "locate_exercises",
    "locate_last_batch",
    "train_block",
]
