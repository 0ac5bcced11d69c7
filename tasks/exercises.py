"""Train and record the exercises of the notebook."""

from collections.abc import Mapping, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.notebook import Exercise, Row, Trained, train_block
from regress.study import Trial
from regress.tracking.execution import Execution
from regress.tracking.exercise_runs import log_exercise
from tasks.progress import advance


@task(
    name="train replicates",
    task_run_name="train replicates from {first} on",
    description="Trains a block of replicates of every exercise.",
    cache_policy=NO_CACHE,
)
def train_replicates(trials: Sequence[Trial], first: int, replicates: int) -> Trained:
    """Train replicates `first` to `first + replicates` of all trials."""
    trained = train_block(trials, first, replicates)
    advance("models", len(trials) * replicates)
    return trained


@task(
    name="track exercise",
    task_run_name="track {exercise.name}",
    description="One finished MLflow run an exercise: set-ups, quantiles, figures.",
    cache_policy=NO_CACHE,
)
def track_exercise(
    execution: Execution, exercise: Exercise, rows: Sequence[Row], files: Mapping[str, bytes]
) -> None:
    """Record an exercise with its rows and figures."""
    log_exercise(execution, exercise, rows, files)
    advance("exercises", 1)
