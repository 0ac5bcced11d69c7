"""Evaluation of trained trials: all metrics of the table that apply, and divergence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regress.metrics.digests import digest_parameters
from regress.metrics.measurement import Measurement
from regress.metrics.table import Kind, metrics_of_kind

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShardMetrics:
    """The metrics of L trials with R replicates at E epoch ends; not finite for a non-finite model."""

    params: Floats  # (E, L, R, P), as trained
    digests: NDArray[np.str_]  # (E, L, R), of the bits of the parameters
    histories: dict[str, Floats]  # (E, L, R) each
    finals: dict[str, Floats]  # (L, R) each
    of_trials: dict[str, Floats]  # (L,) each
    diverged: NDArray[np.bool_]  # (E, L, R)
    first_nonfinite_step: NDArray[np.int64]  # (L, R), from 1; 0 is never
    steps_per_epoch: int


def evaluate(measurement: Measurement) -> ShardMetrics:
    """Return all metrics of the table that apply to the problem."""
    return ShardMetrics(
        params=measurement.params,
        digests=digest_parameters(measurement.trajectory.params),
        histories=_measure("history", measurement),
        finals=_measure("final", measurement),
        of_trials=_measure("trial", measurement),
        diverged=measurement.diverged,
        first_nonfinite_step=measurement.first_nonfinite_step,
        steps_per_epoch=measurement.steps_per_epoch,
    )


def _measure(kind: Kind, measurement: Measurement) -> dict[str, Floats]:
    return {
        metric.name: metric.measure(measurement)
        for metric in metrics_of_kind(kind)
        if metric.applies_to(measurement.problem)
    }
