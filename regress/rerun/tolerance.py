"""Comparison within a tolerance, for trials whose numbers rounding alone does not move as far.

Beyond its edge of stability a trial amplifies a rounding error until its path is another: of the default
study, trained with other vector instructions, one trial in twelve ends with a relative difference of a
thousandth or more. The numbers of such a trial can only be compared as a distribution. The study is
retrained with every feature changed by one rounding to measure which trials these are. Losses whose
derivative jumps at 0 are left out, too: rounding occasionally decides on which side of 0 a residual falls,
once in a thousand steps, which a single perturbed run may miss.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regress.metrics.table import METRICS, history_names
from regress.rerun.rows import Pairs, Rows
from regress.study import Dtype, Study

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tolerance:
    """|recorded - retrained| <= atol + rtol * scale.

    The scale of a metric is its size. For parameters, and for the parameter error as a difference of
    parameters, it is at least the size of the model's largest parameter.
    """

    rtol: float
    atol: float


TOLERANCES: dict[Dtype, Tolerance] = {
    "float32": Tolerance(rtol=1e-4, atol=1e-5),
    "float64": Tolerance(rtol=1e-9, atol=1e-10),
}
_MARGIN = 10.0  # a trial is left out if one rounding moves it by more than a tenth of the tolerance


@dataclass(frozen=True)
class Deviations:
    """Each trial's largest deviation in units of the tolerance, and the trials left out of the check."""

    by_trial: dict[str, float]
    left_out: frozenset[str]

    @property
    def checked(self) -> dict[str, float]:
        """The deviations of the trials that are not left out."""
        return {
            trial: deviation for trial, deviation in self.by_trial.items() if trial not in self.left_out
        }

    @property
    def largest(self) -> float:
        """The largest deviation of a checked trial; 0 if there is none."""
        return max(self.checked.values(), default=0.0)


def measure_deviations(recorded: Rows, retrained: Rows, pairs: Pairs, dtype: Dtype) -> dict[str, float]:
    """Return each trial's largest |recorded - retrained| in units of the tolerance.

    Infinite where rows are missing or only one of the two models diverged; 0 where both diverged.
    """
    tolerance = TOLERANCES[dtype]
    left, right = pairs.recorded, pairs.retrained
    left_diverged, right_diverged = recorded.diverged[left], retrained.diverged[right]
    are_finite = ~left_diverged & ~right_diverged
    deviation = np.where(left_diverged != right_diverged, np.inf, 0.0)

    def update(a: Floats, b: Floats, scale: Floats) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = np.abs(a - b) / (tolerance.atol + tolerance.rtol * scale)
        are_equal = (a == b) | (np.isnan(a) & np.isnan(b))
        ratio = np.where(are_equal, 0.0, np.where(np.isnan(ratio), np.inf, ratio))
        np.maximum(deviation, np.where(are_finite, ratio, 0.0), out=deviation)

    largest_param = np.abs(recorded.params[left]).max(axis=1)
    for a, b in zip(recorded.params[left].T, retrained.params[right].T, strict=True):
        update(a, b, largest_param)
    for name in history_names():
        a, b = recorded.metrics[name][left], retrained.metrics[name][right]
        is_distance = METRICS[name].unit == "parameters"
        update(a, b, np.maximum(np.abs(a), largest_param) if is_distance else np.abs(a))
    trials = recorded.keys.trial.iloc[left].to_numpy()
    incomplete = dict.fromkeys([*pairs.only_recorded.trial, *pairs.only_retrained.trial], np.inf)
    return _max_by_trial(trials, deviation) | incomplete


def find_sensitive_trials(retrained: Rows, perturbed: Rows, pairs: Pairs, dtype: Dtype) -> frozenset[str]:
    """Return the trials that one rounding moves by more than a tenth of the tolerance."""
    deviations = measure_deviations(retrained, perturbed, pairs, dtype)
    return frozenset(trial for trial, deviation in deviations.items() if deviation * _MARGIN > 1)


def find_discontinuous_trials(study: Study) -> frozenset[str]:
    """Return the trials whose loss has a derivative that jumps at a residual of 0."""
    return frozenset(trial.digest for trial in study.trials if not trial.loss.has_continuous_psi)


def _max_by_trial(trials: NDArray[np.object_], deviation: Floats) -> dict[str, float]:
    names, indices = np.unique(trials.astype(str), return_inverse=True)
    largest = np.zeros(len(names))
    np.maximum.at(largest, indices, deviation)
    return dict(zip(names.tolist(), largest.tolist(), strict=True))
