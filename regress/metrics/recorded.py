"""Summaries of recorded trials, made from results.parquet and the final metrics in MLflow."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from regress.errors import InputError
from regress.metrics.results import sort_results
from regress.metrics.summary import QUANTILES, Quantiles, TrialSummary, median_coefficients
from regress.metrics.table import final_metric, history_names, metrics_of_kind
from regress.study import Trial

Floats = NDArray[np.float64]

_THEORY = "theory_"


def summarise_recorded(
    trials: Sequence[Trial], results: pa.Table, metrics: Mapping[str, Mapping[str, float]]
) -> tuple[TrialSummary, ...]:
    """Return the summaries of a study's trials as they were when it was recorded.

    `results` are the rows of results.parquet, `metrics` the final metrics by a trial's digest; a metric
    that is missing there was infinite.

    Raises
    ------
    InputError
        `results` are not one row for each trial, epoch and replicate.
    """
    columns = _columns_by_trial(trials, results)
    return tuple(
        _summarise(trial, columns[trial.digest], metrics.get(trial.digest, {})) for trial in trials
    )


def _columns_by_trial(trials: Sequence[Trial], results: pa.Table) -> dict[str, dict[str, Floats]]:
    """Return histories, `diverged` and `params` by a trial's digest, each of shape (E, R, ...)."""
    digests = sorted(trial.digest for trial in trials)
    shape = len(trials), trials[0].epochs, trials[0].replicates
    table = sort_results([results])
    if len(table) != np.prod(shape) or table["trial"].to_pylist()[:: shape[1] * shape[2]] != digests:
        raise InputError("results.parquet does not hold each trial, epoch and replicate once")
    columns = {
        name: np.asarray(table[name].to_numpy(), float).reshape(shape)
        for name in (*history_names(), "diverged")
    }
    params = table["params"].combine_chunks().flatten().to_numpy()
    columns["params"] = params.reshape(*shape, -1)
    return {d: {name: values[i] for name, values in columns.items()} for i, d in enumerate(digests)}


def _summarise(trial: Trial, columns: Mapping[str, Floats], metrics: Mapping[str, float]) -> TrialSummary:
    diverged = columns["diverged"][-1].astype(bool)
    histories = {name: columns[name] for name in history_names()}
    last = {
        final_metric(name): np.where(diverged, np.inf, values[-1]) for name, values in histories.items()
    }
    recorded = {
        metric.name: Quantiles(
            *(np.array(metrics.get(metric.name + suffix, np.inf)) for suffix in QUANTILES)
        )
        for metric in metrics_of_kind("final")
        if metric.applies_to(trial.problem)
    }
    (coefficients,) = median_coefficients(columns["params"][-1:], diverged[None])
    names = trial.problem.parameter_names
    return TrialSummary(
        trial=trial,
        histories={name: Quantiles.of(values) for name, values in histories.items()},
        finals={name: Quantiles.of(values) for name, values in last.items()} | recorded,
        of_trial={metric.name: metrics.get(metric.name, np.inf) for metric in metrics_of_kind("trial")},
        final_error=last["final_param_error"],
        ranking=last.get(final_metric(trial.problem.ranking), np.array([])),
        coefficients=dict(zip(names, coefficients, strict=True)) if coefficients else {},
        diverged=diverged,
        theory={k.removeprefix(_THEORY): v for k, v in metrics.items() if k.startswith(_THEORY)},
    )
