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
from regress.load import load
from regress.outcome import Findings, outcome_json
from regress.plots import scales
from regress.shards import Evaluated, shards
from regress.study import Study
from regress.tracking.record import Execution, fail, finish
from regress.tracking.store import open_store
from tasks.contaminate import contaminate
from tasks.evaluate import evaluate
from tasks.generate import generate
from tasks.order import arrange
from tasks.plot import plot
from tasks.references import refer, track_references
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
        findings = _run(study, execution, clock)
        finish(execution, {"diverged_trials": findings.comparison.diverged_trials})
    except BaseException:
        fail(execution)
        raise
    _publish(execution, findings)
    return {
        "study_run_id": execution.run_id,
        "experiment_id": execution.experiment_id,
        "tracking_uri": store.uri,
        **outcome_json(study, findings),
        "seconds": clock.seconds,
    }


# Prefect looks for futures in every argument, field by field; what is quoted holds none.


def _run(study: Study, execution: Execution, clock: "_Clock") -> Findings:
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
        # Last in the queue: while they run, the trials' metrics come in and plots start.
        referred = {c: refer.submit(study.problem, c, data, clean) for c, data in contaminated.items()}
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
        references = {c: future.result() for c, future in referred.items()}
        for c, fitted in references.items():
            track_references(quote(execution), c, quote(fitted))
    with clock.stage("summarise"):
        every = [reference for fitted in references.values() for reference in fitted]
        return summarise(quote(execution), quote(study), quote(rows), quote(evaluated), quote(every))


def _publish(execution: Execution, findings: Findings) -> None:
    outcome = findings.comparison.as_json()
    create_table_artifact(
        outcome["best"], key="best-trials", description="The best shuffled trial by contamination"
    )
    sure = [row for row in outcome["orders"] if row["p_holm"] is not None and row["p_holm"] < 0.05]
    strongest = sorted(sure, key=lambda row: -abs(row["log_ratio"]))[:20]
    create_table_artifact(
        strongest,
        key="order-effects",
        description="Where an order changed the error most (Holm p < .05, up to 20 cells)",
    )
    create_link_artifact(execution.address, key="mlflow", link_text="This execution in MLflow")


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)
