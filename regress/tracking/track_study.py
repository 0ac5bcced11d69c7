"""A study trained in this process and recorded in MLflow, without Prefect."""

import getpass
from collections.abc import Sequence
from dataclasses import replace

from regress.pipeline.checkpoint import checkpoint_folder
from regress.pipeline.refit import refit, winner
from regress.pipeline.run import run
from regress.pipeline.steps import EvaluatedShard
from regress.pipeline.submit import Progress, ignore_progress, run_directly
from regress.plots import render_trials, shared_scales
from regress.report.files import figure_files, outcome_files
from regress.report.study_result import StudyResult
from regress.study import Study
from regress.tracking.champion import log_champion
from regress.tracking.execution import (
    Execution,
    aborted_on_error,
    finish_execution,
    log_files,
    log_study,
    open_execution,
)
from regress.tracking.lease import hold_lease
from regress.tracking.reference_runs import log_references
from regress.tracking.store import Store
from regress.tracking.trial_runs import is_recorded, log_shard
from regress.tracking.unfinished import find_unfinished
from regress.tracking.view import publish_view


def track_study(
    store: Store, study: Study, progress: Progress = ignore_progress, *, resume: bool = False
) -> StudyResult:
    """Train, evaluate and compare all trials of a study, and record them as the flow `robustness` does.

    With `resume` the newest unfinished execution of the study is finished, if there is one.

    Raises
    ------
    InputError
        The study's experiment is deleted or not writable, or its unfinished executions cannot be resumed.
    ServiceLost
        The store cannot be reached, or a disk is full; the execution can be resumed.
    """
    unfinished = find_unfinished(store, study) if resume else None
    execution = open_execution(store, study, getpass.getuser(), {}, unfinished)
    checkpoints = checkpoint_folder(execution.run_id)

    def log_trials(shards: Sequence[EvaluatedShard]) -> None:
        shared = shared_scales(summary for shard in shards for summary in shard.summaries)
        for shard in shards:
            if not is_recorded(execution, shard):
                log_shard(execution, shard, render_trials(shard.summaries, shared))
            progress("trials", len(shard.summaries))

    with hold_lease(store.client, execution.run_id), aborted_on_error(execution):
        log_study(execution, study)
        result = run(study, run_directly, progress, checkpoints=checkpoints, on_evaluated=log_trials)
        result = replace(result, run_id=execution.run_id)
        _log_result(execution, result)
        checkpoints.clear()  # before it is finished: a finished execution is not resumed
        finish_execution(execution, {"diverged_trials": result.comparison.diverged_trials})
    return result


def _log_result(execution: Execution, result: StudyResult) -> None:
    study = result.study
    log_references(execution, result.references)
    figures = figure_files(study, result.summaries, result.comparison.orders, result.efficiencies)
    log_files(execution, outcome_files(result) | figures)
    if study.register:
        trial = winner(study, result.comparison)
        fitted = None if trial is None else refit(trial)
        if fitted is not None:
            log_champion(execution, study.name, fitted)
    publish_view(execution, study, result.outcome)
