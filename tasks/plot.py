"""Draw the trials of a shard."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline.steps import EvaluatedShard
from regress.plots import Scales, render_trials
from tasks.figure_worker import figure_worker


@task(
    name="plot",
    task_run_name="plot {evaluated.shard.label}",
    description="One figure a trial, on the scales that the whole study shares.",
    cache_policy=NO_CACHE,
)
def plot(evaluated: EvaluatedShard, scales: Scales) -> tuple[bytes, ...]:
    """Return the figure of each trial of a shard as PNG."""
    return figure_worker.draw_now(render_trials, evaluated.summaries, scales)
