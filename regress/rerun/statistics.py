"""Statistical comparison: errors with a fresh seed must be distributed as the recorded errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

from regress.rerun.rows import Rows
from regress.rerun.tolerance import TOLERANCES, Tolerance
from regress.study import Dtype, Study

Floats = NDArray[np.float64]

# The probability of a false alarm for an unchanged study. The fresh seed is always the same, so that a
# baseline runs this risk once and not every night, which would mean one false alarm in three years.
ALPHA = 0.001
_POWER_MARGIN = 10.0  # the least possible p is this far below Holm's level for the first trial
_MAX_REPLICATES = 256  # with the fresh seed
_MAX_EXACT = 10_000  # pairs of replicates up to which the exact null distribution is used


@dataclass(frozen=True)
class Shift:
    """One trial's recorded errors compared with those of the fresh seed.

    `recorded` and `fresh` are median final errors, `p_holm` is p after Holm's correction.
    """

    trial: str
    recorded: float
    fresh: float
    p: float
    p_holm: float


def required_replicates(recorded: int, trials: int) -> int | None:
    """Return how many fresh replicates can show that one of `trials` changed; None where none can.

    The least two-sided p of samples of n and m is 2 / C(n + m, n); a trial's p is twice that of a test.
    """
    needed = ALPHA / trials / _POWER_MARGIN
    counts = range(recorded, max(_MAX_REPLICATES, recorded) + 1)
    return next((count for count in counts if 4 / comb(recorded + count, recorded) <= needed), None)


def compare_errors(recorded: Rows, fresh: Rows, study: Study) -> tuple[Shift, ...]:
    """Compare each trial's errors in both files, with Holm's correction over the study's trials.

    A trial's p is twice the smaller of the p after the first epoch and after the last: the first epoch
    shows the speed of convergence, the last where training ends. Missing trials count as unchanged.
    """
    first, last = ((recorded.errors(epoch), fresh.errors(epoch)) for epoch in (1, study.epochs))
    trials = [trial for trial in last[0] if trial in last[1] and trial in first[0] and trial in first[1]]
    if not trials:
        return ()
    p_by_epoch = [
        p_values(
            [recorded_errors[trial] for trial in trials],
            [fresh_errors[trial] for trial in trials],
            study.dtype,
        )
        for recorded_errors, fresh_errors in (first, last)
    ]
    p = np.minimum(1.0, 2 * np.minimum(*p_by_epoch)).tolist()
    missing = max(0, len(study.trials) - len(trials))
    adjusted = multipletests([*p, *[1.0] * missing], method="holm")[1]
    return tuple(
        Shift(
            trial,
            recorded=float(np.median(last[0][trial])),
            fresh=float(np.median(last[1][trial])),
            p=trial_p,
            p_holm=float(trial_p_holm),
        )
        for trial, trial_p, trial_p_holm in zip(trials, p, adjusted[: len(p)], strict=True)
    )


def p_values(recorded: Sequence[Floats], fresh: Sequence[Floats], dtype: Dtype) -> Floats:
    """Return the two-sided p (T,) of Mann-Whitney's test for T pairs of samples.

    Exact for samples without ties; +inf ties with +inf. 1 where all errors agree to within the
    tolerance of `dtype`, because such differences are due to rounding.
    """
    # One call for all pairs of the same sizes and method.
    groups: dict[tuple[int, int, str], list[int]] = {}
    for i, (recorded_sample, fresh_sample) in enumerate(zip(recorded, fresh, strict=True)):
        if method := _choose_method(recorded_sample, fresh_sample, TOLERANCES[dtype]):
            groups.setdefault((len(recorded_sample), len(fresh_sample), method), []).append(i)
    p = np.ones(len(recorded))
    for (*_, method), indices in groups.items():
        samples = (np.stack([samples[i] for i in indices]) for samples in (recorded, fresh))
        p[indices] = mannwhitneyu(*samples, axis=1, method=method).pvalue
    return p


def _choose_method(recorded: Floats, fresh: Floats, tolerance: Tolerance) -> str | None:
    """Return the test's method; None where all errors agree."""
    pooled = np.concatenate([recorded, fresh])
    low, high = pooled.min(), pooled.max()
    if low == high or high - low <= tolerance.atol + tolerance.rtol * high < np.inf:
        return None
    has_ties = len(np.unique(pooled)) < len(pooled)
    return "asymptotic" if has_ties or len(recorded) * len(fresh) > _MAX_EXACT else "exact"


def significant_shifts(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    """Return the shifts whose adjusted p is below `ALPHA`, the smallest first."""
    significant = (shift for shift in shifts if shift.p_holm < ALPHA)
    return tuple(sorted(significant, key=lambda shift: shift.p_holm))
