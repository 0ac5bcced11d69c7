"""Within tolerance: are the numbers the same but for rounding, where rounding alone does not move them?

A trial beyond its edge of stability turns a rounding error into another path: of the default study,
trained by other vector instructions, one trial in twelve ends a thousandth or more apart. Nothing can be
said of such a trial's numbers one by one, only of their distribution. Which those are is measured: the
study is trained once more with every feature off by one rounding. Losses whose derivative jumps at 0 are
left out, too: on which side a residual of almost 0 falls is up to rounding, now and then, and one such
fall in a thousand steps is not to be found by trying.
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

    The scale of a metric is its size; that of a parameter, and of the parameter error, which is a
    difference of parameters, is the size of the lane's largest parameter, if that is more.
    """

    rtol: float
    atol: float


TOLERANCES: dict[Dtype, Tolerance] = {
    "float32": Tolerance(rtol=1e-4, atol=1e-5),
    "float64": Tolerance(rtol=1e-9, atol=1e-10),
}
_MARGIN = 10.0  # a trial is left out when one rounding moves it by more than a tenth of the tolerance


@dataclass(frozen=True)
class Deviations:
    """How many tolerances each trial is off, at most; which trials one rounding moves as far."""

    by_trial: dict[str, float]
    left_out: frozenset[str]

    @property
    def judged(self) -> dict[str, float]:
        return {trial: off for trial, off in self.by_trial.items() if trial not in self.left_out}

    @property
    def most(self) -> float:
        return max(self.judged.values(), default=0.0)


def deviations(recorded: Rows, again: Rows, pairs: Pairs, dtype: Dtype) -> dict[str, float]:
    """The largest |recorded - retrained| of each trial, in tolerances; infinite where rows are missing.

    Lanes that diverged are compared by their flag alone.
    """
    tolerance = TOLERANCES[dtype]
    one, other = pairs.recorded, pairs.again
    gone, gone_again = recorded.diverged[one], again.diverged[other]
    finite = ~gone & ~gone_again
    off = np.where(gone != gone_again, np.inf, 0.0)

    def measure(a: Floats, b: Floats, scale: Floats) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            far = np.abs(a - b) / (tolerance.atol + tolerance.rtol * scale)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        far = np.where(same, 0.0, np.where(np.isnan(far), np.inf, far))
        np.maximum(off, np.where(finite, far, 0.0), out=off)

    size = np.abs(recorded.params[one]).max(axis=1)
    for a, b in zip(recorded.params[one].T, again.params[other].T, strict=True):
        measure(a, b, size)
    for name in history_names():
        a, b = recorded.metrics[name][one], again.metrics[name][other]
        measure(a, b, np.maximum(np.abs(a), size) if METRICS[name].unit == "parameters" else np.abs(a))
    trials = recorded.keys.trial.iloc[one]
    by_trial = dict.fromkeys([*pairs.only_recorded.trial, *pairs.only_again.trial], np.inf)
    worst = {str(name): float(value) for name, value in _worst(trials.to_numpy(), off).items()}
    return worst | by_trial


def sensitive(retrained: Rows, rounded: Rows, pairs: Pairs, dtype: Dtype) -> frozenset[str]:
    """The trials that one rounding moves by a tenth of the tolerance."""
    off = deviations(retrained, rounded, pairs, dtype)
    return frozenset(trial for trial, value in off.items() if value * _MARGIN > 1)


def jumping(study: Study) -> frozenset[str]:
    """The trials whose gradient jumps where a residual passes 0."""
    return frozenset(trial.digest for trial in study.trials if not trial.loss.has_continuous_psi)


def _worst(trials: NDArray[np.object_], off: Floats) -> dict[str, float]:
    names, place = np.unique(trials.astype(str), return_inverse=True)
    most = np.zeros(len(names))
    np.maximum.at(most, place, off)
    return dict(zip(names.tolist(), most.tolist(), strict=True))
