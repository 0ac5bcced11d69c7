"""The flow of a study: generate, contaminate, order, train, evaluate, plot, track, summarise."""

import getpass
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from mlflow.entities import Run
from prefect import flow
from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.runtime.deployed import refuse_relative_table, start_deployment_worker
from flows.runtime.handover import Handover
from flows.runtime.states import mark_crashed
from flows.runtime.tags import flow_run_tags
from regress.comparison import significant_effects
from regress.pipeline.checkpoint import CheckpointFolder, checkpoint_folder
from regress.pipeline.run import run
from regress.pipeline.stage_timer import StageTimer
from regress.pipeline.steps import EvaluatedShard
from regress.plots import shared_scales
from regress.report.files import figure_files
from regress.report.json import replace_nonfinite
from regress.report.study_result import StudyResult
from regress.study import Study
from regress.study.load import load
from regress.tracking.champion import Champion
from regress.tracking.execution import Execution, aborted_on_error, finish_execution, log_study
from regress.tracking.lease import hold_lease
from regress.tracking.store import open_store
from regress.tracking.trial_runs import is_recorded
from regress.tracking.unfinished import find_unfinished
from regress.tracking.view import comparison_url, publish_view
from tasks.figure_worker import figure_worker
from tasks.fit_references import track_references
from tasks.plot import plot
from tasks.progress import advance
from tasks.register import register
from tasks.submit import submit_task
from tasks.summarise import summarise
from tasks.track import open_execution, track

DEFAULT = load("default")
UNFINISHED: Handover[Run | None] = Handover("unfinished")  # the execution that a command found to resume


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
    start_deployment_worker()
    timer = StageTimer()
    with timer.measure("open"):
        store = open_store()
        unfinished = UNFINISHED.take_or(lambda: find_unfinished(store, study)) if resume else None
        execution = open_execution(store, study, getpass.getuser(), flow_run_tags(), quote(unfinished))
    if execution.interrupted:
        mark_crashed(execution.interrupted)
    with hold_lease(store.client, execution.run_id):
        checkpoints = checkpoint_folder(execution.run_id)
        result, champion = _execute(study, execution, checkpoints, timer)
    _publish(execution, result)
    return {
        "study_run_id": execution.run_id,
        "experiment_id": execution.experiment_id,
        "tracking_uri": store.uri,
        **result.outcome.as_json(),
        "model": champion.as_json() if champion else None,
        "seconds": timer.seconds,
    }


def _execute(
    study: Study, execution: Execution, checkpoints: CheckpointFolder, timer: StageTimer
) -> tuple[StudyResult, Champion | None]:
    """Run and record the study; one that is stopped can be resumed by a later flow run."""
    with aborted_on_error(execution, (KeyboardInterrupt, TerminationSignal)):
        log_study(execution, study)
        result = _run_and_track(study, execution, checkpoints, timer)
        champion = _register(execution, result, timer)
        publish_view(execution, study, result.outcome)
        checkpoints.clear()  # before it is finished: a finished execution is not resumed
        finish_execution(execution, {"diverged_trials": result.comparison.diverged_trials})
    return result, champion


def _run_and_track(
    study: Study, execution: Execution, checkpoints: CheckpointFolder, timer: StageTimer
) -> StudyResult:
    tracked: list[PrefectFuture[None]] = []

    def track_all(evaluated: Sequence[EvaluatedShard]) -> None:
        shared = shared_scales(summary for shard in evaluated for summary in shard.summaries)
        for shard in evaluated:
            if is_recorded(execution, shard):
                advance("trials", len(shard.summaries))
            else:
                plots = plot.submit(quote(shard), quote(shared))
                tracked.append(track.submit(quote(execution), quote(shard), plots))

    result = run(study, submit_task, advance, checkpoints=checkpoints, on_evaluated=track_all)
    result = replace(result, run_id=execution.run_id)
    timer.seconds |= result.seconds
    with timer.measure("track"):
        figures = figure_worker.submit(
            figure_files, study, result.summaries, result.comparison.orders, result.efficiencies
        )
        _await_trials(study, tracked)
        for contamination in study.contaminations:
            fitted = [r for r in result.references if r.contamination == contamination]
            track_references(quote(execution), contamination, quote(fitted))
    with timer.measure("summarise"):
        summarise(quote(execution), quote(result), quote(figures))
    return result


def _await_trials(study: Study, tracked: Sequence[PrefectFuture[None]]) -> None:
    progress = create_progress_artifact(
        0.0, key="trials-tracked", description=f"Trials of {study.name} in MLflow"
    )
    for count, future in enumerate(as_completed(list(tracked)), 1):
        future.result()
        update_progress_artifact(progress, 100.0 * count / len(tracked))  # type: ignore[arg-type]


def _register(execution: Execution, result: StudyResult, timer: StageTimer) -> Champion | None:
    if not result.study.register:
        return None
    with timer.measure("register"):
        return register(quote(execution), quote(result.study), quote(result.comparison))


def _publish(execution: Execution, result: StudyResult) -> None:
    best = [asdict(row) for row in result.outcome.best]
    effects = [asdict(effect) for effect in significant_effects(result.outcome.orders)]
    create_table_artifact(
        replace_nonfinite(best), key="best-trials", description="The best trial by contamination"
    )
    create_table_artifact(
        replace_nonfinite(effects[:20]),
        key="order-effects",
        description="Where an order changed the error most (adjusted p < .05, Holm; up to 20 settings)",
    )
    address = comparison_url(execution.store, execution.experiment_id, execution.run_id)
    create_link_artifact(address, key="mlflow", link_text="Compare this execution's trials in MLflow")
