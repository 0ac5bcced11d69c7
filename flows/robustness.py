"""The flow of a study: generate, contaminate, order, train, evaluate, plot, track, summarise."""

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow
from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.tags import flow_run_tags
from regress.compare import Comparison
from regress.headline import sure
from regress.load import load
from regress.outcome import outcome_json
from regress.plots import scales
from regress.shards import Evaluated, shards
from regress.study import Study
from regress.tracking.record import Execution, fail, finish
from regress.tracking.store import open_store
from regress.tracking.view import present, way
from tasks.contaminate import contaminate
from tasks.evaluate import evaluate
from tasks.generate import generate
from tasks.order import arrange
from tasks.plot import plot
from tasks.summarise import summarise
from tasks.track import open_execution, track
from tasks.train import train

DEFAULT = load("default")


@flow(
    name="robustness",
    flow_run_name="{study.name}",
    description="Trains every trial of a study and records them, comparable, in MLflow.",
    task_runner=ThreadPoolTaskRunner(max_workers=2),  # type: ignore[arg-type]
)
def robustness(study: Study = DEFAULT) -> dict[str, Any]:
    """Train a study and record it.

    Args:
        study: The problem and the grid over it; every list spans one axis.
    """
    clock = _Clock()
    with clock.stage("open"):
        store = open_store()
        execution = open_execution(store, study, getpass.getuser(), flow_run_tags())
    try:
        comparison = _run(study, execution, clock)
        present(execution, study, outcome_json(study, comparison))
        finish(execution, {"diverged_trials": comparison.diverged_trials})
    except BaseException:
        fail(execution)
        raise
    _publish(execution, comparison)
    return {
        "study_run_id": execution.run_id,
        "experiment_id": execution.experiment_id,
        "tracking_uri": store.uri,
        **outcome_json(study, comparison),
        "seconds": clock.seconds,
    }


# Prefect looks for futures in every argument, field by field; what is quoted holds none.


def _run(study: Study, execution: Execution, clock: "_Clock") -> Comparison:
    cut = shards(study)
    with clock.stage("data"):
        clean = generate.submit(study.problem, study.seed, study.replicates)
        contaminated = {c: contaminate.submit(c, clean, study.seed) for c in study.contaminations}
        orders = {
            (c, o): arrange.submit(o, c, contaminated[c], study.problem.model, study.seed, study.epochs)
            for c in study.contaminations
            for o in study.orders
        }
        rows = {str(c): data.result() for c, data in contaminated.items()}
    with clock.stage("train"):
        evaluated: list[Evaluated] = []
        futures = []
        for shard in cut:
            data = contaminated[shard.contamination]
            order = orders[shard.contamination, shard.order]
            trained = train.submit(quote(shard), data, order)
            futures.append(evaluate.submit(quote(shard), data, clean, trained))
        evaluated = [future.result() for future in futures]
    with clock.stage("track"):
        shared = scales(summary for shard in evaluated for summary in shard.summaries)
        tracked = [
            track.submit(
                quote(execution),
                quote(shard),
                quote(done),
                plot.submit(quote(shard), quote(done), quote(shared)),
            )
            for shard, done in zip(cut, evaluated, strict=True)
        ]
        progress = create_progress_artifact(
            0.0, key="trials-tracked", description=f"Trials of {study.name} in MLflow"
        )
        for count, future in enumerate(as_completed(tracked), 1):
            future.result()
            update_progress_artifact(progress, 100.0 * count / len(tracked))  # type: ignore[arg-type]
    with clock.stage("summarise"):
        return summarise(quote(execution), quote(study), quote(rows), quote(evaluated))


def _publish(execution: Execution, comparison: Comparison) -> None:
    outcome = comparison.as_json()
    create_table_artifact(
        outcome["best"], key="best-trials", description="The best shuffled trial by contamination"
    )
    create_table_artifact(
        sure(outcome["orders"])[:20],
        key="order-effects",
        description="Where an order changed the error most (Holm p < .05, up to 20 cells)",
    )
    address = way(execution.store, execution.experiment_id, execution.run_id)
    create_link_artifact(address, key="mlflow", link_text="Compare this execution's trials in MLflow")


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)
