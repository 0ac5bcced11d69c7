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
from prefect.exceptions import TerminationSignal
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.runtime.deployment_checks import refuse_relative_table
from flows.runtime.states import mark_crashed
from flows.runtime.tags import flow_run_tags
from regress.comparison import Comparison
from regress.errors import ServiceLost
from regress.home import home
from regress.pipeline.checkpoint import CheckpointFolder
from regress.pipeline.steps import Evaluated
from regress.plots import scales
from regress.report.format import sure
from regress.report.outcome import StudyResult, finite, outcome_figures, outcome_json
from regress.study import Study
from regress.study.load import load
from regress.study.shards import Shard, shards
from regress.theory.predictions import beside, sharing_rows
from regress.tracking.champion import Champion
from regress.tracking.lease import held
from regress.tracking.record import Execution, describe, finish, stop
from regress.tracking.store import open_store
from regress.tracking.view import present, way
from tasks.compare import find
from tasks.contaminate import contaminate
from tasks.evaluate import evaluate, restore
from tasks.figure_worker import aside, warm_up
from tasks.fit_references import fit_references, track_references
from tasks.generate import generate
from tasks.order import arrange
from tasks.plot import plot
from tasks.predict import predict
from tasks.progress import advance
from tasks.register import register
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
def robustness(study: Study = DEFAULT, resume: bool = False) -> dict[str, Any]:
    """Train a study and record it.

    Args:
        study: The problem and the grid over it; every list spans one axis.
        resume: Finish the newest execution of this study that was interrupted, if there is one.
    """
    refuse_relative_table(study)
    warm_up()
    clock = _Clock()
    with clock.stage("open"):
        store = open_store()
        execution = open_execution(store, study, getpass.getuser(), flow_run_tags(), resume)
    if execution.interrupted:
        mark_crashed(execution.interrupted)
    with held(store.client, execution.run_id):
        spool = CheckpointFolder(home() / "spool" / execution.run_id)
        findings, champion = _guarded(study, execution, spool, clock)
        spool.clear()
    _publish(execution, findings)
    return {
        "study_run_id": execution.run_id,
        "experiment_id": execution.experiment_id,
        "tracking_uri": store.uri,
        **outcome_json(study, findings),
        "model": champion.as_json() if champion else None,
        "seconds": clock.seconds,
    }


def _guarded(
    study: Study, execution: Execution, spool: CheckpointFolder, clock: "_Clock"
) -> tuple[StudyResult, Champion | None]:
    """Runs the study; whatever stops it, the parent run says so, and the next attempt can take it up."""
    try:
        describe(execution, study)
        findings = _run(study, execution, spool, clock)
        champion = _register(study, execution, findings.comparison, clock)
        present(execution, study, outcome_json(study, findings))
        finish(execution, {"diverged_trials": findings.comparison.diverged_trials})
    except ServiceLost:
        raise  # nothing can be told to a store that is away
    except (KeyboardInterrupt, TerminationSignal):
        stop(execution, "KILLED")
        raise
    except BaseException:
        stop(execution, "FAILED")
        raise
    return findings, champion


# Prefect looks for futures in every argument, field by field; what is quoted holds none.


def _run(study: Study, execution: Execution, spool: CheckpointFolder, clock: "_Clock") -> StudyResult:
    cut = shards(study)
    with clock.stage("data"):
        clean = generate.submit(study.problem, study.seed, study.replicates)
        model = study.problem.model
        contaminated = {c: contaminate.submit(c, clean, model, study.seed) for c in study.contaminations}
        orders = {
            (c, o, size): arrange.submit(o, c, contaminated[c], model, study.seed, study.epochs, size)
            for c in study.contaminations
            for o in study.orders
            for size in study.batch_sizes
        }
        rows = {str(c): data.result() for c, data in contaminated.items()}
    with clock.stage("train"):
        futures = []
        for shard in cut:
            data = contaminated[shard.contamination]
            if (outcome := spool.get(shard)) is not None:
                futures.append(restore.submit(quote(shard), data, quote(outcome)))
                continue
            order = orders[shard.contamination, shard.order, shard.schedule.batch_size]
            trained = train.submit(quote(shard), data, order)
            futures.append(evaluate.submit(quote(shard), data, clean, trained, quote(spool)))
        predicted = {
            (c, size): predict.submit(
                c, size, quote(own), contaminated[c], clean, {o: orders[c, o, size] for o in study.orders}
            )
            for (c, size), own in sharing_rows(cut).items()
        }
        # Last in the queue: while they run, the trials' metrics come in and plots start.
        referred = {
            c: fit_references.submit(study.problem, c, data, clean) for c, data in contaminated.items()
        }
        theory = {digest: said for future in predicted.values() for digest, said in future.result().items()}
        evaluated: list[Evaluated] = [beside(future.result(), theory) for future in futures]
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
            if not _is_recorded(shard, execution)
        ]
        references = {c: future.result() for c, future in referred.items()}
        every = [reference for fitted in references.values() for reference in fitted]
        findings = find(quote(study), quote(evaluated), quote(every))
        summaries = [summary for shard in evaluated for summary in shard.summaries]
        figures = aside(outcome_figures, study, summaries, findings)
        progress = create_progress_artifact(
            0.0, key="trials-tracked", description=f"Trials of {study.name} in MLflow"
        )
        for count, future in enumerate(as_completed(tracked), 1):
            future.result()
            update_progress_artifact(progress, 100.0 * count / len(tracked))  # type: ignore[arg-type]
        for c, fitted in references.items():
            track_references(quote(execution), c, quote(fitted))
    with clock.stage("summarise"):
        summarise(
            quote(execution), quote(study), quote(rows), quote(evaluated), quote(findings), quote(figures)
        )
    return findings


def _is_recorded(shard: Shard, execution: Execution) -> bool:
    """Whether an interrupted attempt has recorded all trials of `shard`."""
    recorded = all(trial.digest in execution.recorded for trial in shard.trials)
    if recorded:
        advance("trials", len(shard.trials))
    return recorded


def _register(
    study: Study, execution: Execution, comparison: Comparison, clock: "_Clock"
) -> Champion | None:
    if not study.register:
        return None
    with clock.stage("register"):
        return register(quote(execution), quote(study), quote(comparison))


def _publish(execution: Execution, findings: StudyResult) -> None:
    outcome = finite(findings.comparison.as_json())
    create_table_artifact(outcome["best"], key="best-trials", description="The best trial by contamination")
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
