"""A recorded execution as the result that its study had."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.entities import Run

from regress.comparison import Best, BestRow, Comparison
from regress.errors import InputError
from regress.metrics.recorded import summarise_recorded
from regress.report.outcome import Outcome
from regress.report.study_result import StudyResult
from regress.study import Study, Trial
from regress.tracking.read import read_artifact, read_outcome, read_study, read_trial_runs
from regress.tracking.runs import KEY
from regress.tracking.store import Store


def read_result(store: Store, execution: Run) -> StudyResult:
    """Return the result of a recorded execution, without its reference estimators' fits.

    Raises
    ------
    InputError
        A file of the execution is missing or unreadable, or its study cannot be run here.
    """
    run_id = execution.info.run_id
    study, outcome = read_study(store, execution), read_outcome(store, execution)
    metrics = {run.data.tags[KEY]: run.data.metrics for run in read_trial_runs(store, execution)}
    try:
        results = pq.read_table(io.BytesIO(read_artifact(store, execution, "results.parquet")))
        summaries = summarise_recorded(study.trials, results, metrics)
    except (pa.ArrowException, OSError, KeyError, InputError) as error:
        raise InputError(f"RUN: the results.parquet of {run_id} cannot be read: {error}") from None
    return StudyResult(
        study=study,
        summaries=summaries,
        tables=(results,),
        comparison=_comparison(study, outcome),
        efficiencies=outcome.references,
        published=outcome.published,
        run_id=run_id,
    )


def _comparison(study: Study, outcome: Outcome) -> Comparison:
    trials = {_key(_as_row(trial)): trial for trial in study.trials}
    best = tuple(
        Best(
            trial=trials[_key(row)],
            metric=row.metric,
            median=row.median,
            q05=row.q05,
            q95=np.inf if row.q95 is None else row.q95,
        )
        for row in outcome.best
        if _key(row) in trials
    )
    return Comparison(best, outcome.diverged, outcome.orders)


def _as_row(trial: Trial) -> BestRow:
    return Best(trial, trial.problem.ranking, 0.0, 0.0, 0.0).row


def _key(row: BestRow) -> tuple[object, ...]:
    """Return what tells the trials of a study apart."""
    return row.contamination, row.loss, row.lr, row.sigma, row.order, row.batch_size
