"""The statistics: under another seed the errors must be distributed as the recorded ones."""

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

# The chance that any trial of an unchanged study is found changed. The other seed is always the same, so
# that a baseline runs this risk once: not every night, which would be a false alarm in three years.
ALPHA = 0.001
_ROOM = 10.0  # the least p that can come out is this far below what Holm asks of the first trial
_MOST = 256  # replicates of the other seed
_EXACT = 10_000  # pairs, up to which the null distribution is counted out


@dataclass(frozen=True)
class Shift:
    """One trial's recorded errors against those of another seed."""

    trial: str
    recorded: float  # median final error
    fresh: float
    p: float
    p_holm: float


def fresh_replicates(recorded: int, trials: int) -> int | None:
    """Replicates of the other seed with which one of `trials` can be found changed; None where none can."""
    needed = ALPHA / trials / _ROOM
    counts = range(recorded, max(_MOST, recorded) + 1)
    return next((count for count in counts if 4 / comb(recorded + count, recorded) <= needed), None)


def shifts(recorded: Rows, fresh: Rows, study: Study) -> tuple[Shift, ...]:
    """Each trial of both against the other, corrected by Holm over the study's trials.

    A trial's p is twice the lesser of the first epoch's and the last's: the first still shows how fast it
    goes, the last where to. Trials that are missing count as unchanged.
    """
    first, last = ((recorded.errors(epoch), fresh.errors(epoch)) for epoch in (1, study.epochs))
    trials = [trial for trial in last[0] if trial in last[1] and trial in first[0] and trial in first[1]]
    if not trials:
        return ()
    both = [
        p_values([then[trial] for trial in trials], [now[trial] for trial in trials], study.dtype)
        for then, now in (first, last)
    ]
    p = np.minimum(1.0, 2 * np.minimum(*both)).tolist()
    missing = max(0, len(study.trials) - len(trials))
    corrected = multipletests([*p, *[1.0] * missing], method="holm")[1]
    return tuple(
        Shift(
            trial, float(np.median(last[0][trial])), float(np.median(last[1][trial])), single, float(holm)
        )
        for trial, single, holm in zip(trials, p, corrected[: len(p)], strict=True)
    )


def p_values(recorded: Sequence[Floats], fresh: Sequence[Floats], dtype: Dtype) -> Floats:
    """Mann-Whitney's two-sided p (T,) of T pairs of samples, exact where nothing ties; +inf ties with +inf.

    1 where all errors agree to within the tolerance: where nothing is left to chance, or the error is
    down to rounding, another library rounds otherwise.
    """
    alike: dict[tuple[int, int, str], list[int]] = {}  # a call for each size and method, not for each pair
    for i, (one, other) in enumerate(zip(recorded, fresh, strict=True)):
        if method := _method(one, other, TOLERANCES[dtype]):
            alike.setdefault((len(one), len(other), method), []).append(i)
    p = np.ones(len(recorded))
    for (*_, method), own in alike.items():
        samples = (np.stack([samples[i] for i in own]) for samples in (recorded, fresh))
        p[own] = mannwhitneyu(*samples, axis=1, method=method).pvalue
    return p


def _method(recorded: Floats, fresh: Floats, tolerance: Tolerance) -> str | None:
    """How p is found; None where all is alike."""
    pooled = np.concatenate([recorded, fresh])
    least, most = pooled.min(), pooled.max()
    if least == most or most - least <= tolerance.atol + tolerance.rtol * most < np.inf:
        return None
    has_ties = len(np.unique(pooled)) < len(pooled)
    return "asymptotic" if has_ties or len(recorded) * len(fresh) > _EXACT else "exact"


def changed(found: Sequence[Shift]) -> tuple[Shift, ...]:
    """Those that chance does not explain, the surest first."""
    return tuple(sorted((s for s in found if s.p_holm < ALPHA), key=lambda s: s.p_holm))
