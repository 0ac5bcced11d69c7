"""Effects of orders: paired comparisons with shuffled rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from regress.metrics.summary import TrialSummary
from regress.numerics import streams
from regress.numerics.quantiles import nearest_rank

Floats = NDArray[np.float64]

SIGNIFICANT = 0.05  # of an adjusted p
_RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class OrderEffect:
    """How an order changed the error compared with shuffling, in one setting, replicate by replicate.

    `log_ratio` is the median over n replicates of log(param_error / shuffled's), `lo` and `hi` its 95 %
    bootstrap interval, `p_holm` a Wilcoxon signed-rank p, adjusted over all settings (Holm). Pairs with a
    diverged model are `left_out`. All are None if no pair is left.
    """

    order: str
    contamination: str
    loss: str
    lr: float
    sigma: float
    batch_size: int
    log_ratio: float | None
    lo: float | None
    hi: float | None
    p_holm: float | None
    n: int
    left_out: int

    @property
    def is_significant(self) -> bool:
        """Whether the effect stays significant after Holm's correction."""
        return self.p_holm is not None and self.p_holm < SIGNIFICANT


def compare_orders(summaries: Sequence[TrialSummary], seed: int) -> tuple[OrderEffect, ...]:
    """Compare each order with shuffled, setting by setting; `seed` keys the bootstrap's stream."""
    shuffled = {
        _setting(summary): summary.final_error for summary in summaries if summary.trial.order.is_shuffled
    }
    pairs = [
        (summary, shuffled[_setting(summary)])
        for summary in summaries
        if not summary.trial.order.is_shuffled and _setting(summary) in shuffled
    ]
    ratios = [log_ratios(summary.final_error, baseline) for summary, baseline in pairs]
    corrected = _holm([_signed_rank_p(values) for values in ratios])
    return tuple(
        _effect(summary, values, p, seed)
        for (summary, _), values, p in zip(pairs, ratios, corrected, strict=True)
    )


def significant_effects(effects: Sequence[OrderEffect]) -> list[OrderEffect]:
    """Return the order effects that stay significant after Holm's correction, strongest first."""
    chosen = [effect for effect in effects if effect.is_significant and effect.log_ratio is not None]
    return sorted(chosen, key=lambda effect: -abs(effect.log_ratio or 0.0))


def strongest_by_group(effects: Sequence[OrderEffect], count: int) -> list[OrderEffect]:
    """Return the first effect of each order, contamination and loss, and of these the first `count`."""
    chosen: dict[tuple[str, str, str], OrderEffect] = {}
    for effect in effects:
        chosen.setdefault((effect.order, effect.contamination, effect.loss), effect)
    return list(chosen.values())[:count]


def _setting(summary: TrialSummary) -> tuple[str, str, float, float, int]:
    trial = summary.trial
    return str(trial.contamination), str(trial.loss), trial.lr, trial.sigma, trial.batch_size


def log_ratios(error: Floats, baseline: Floats) -> Floats:
    """Return log(error / baseline) of the pairs in which both are finite and positive."""
    usable = np.isfinite(error) & np.isfinite(baseline) & (error > 0) & (baseline > 0)
    return np.asarray(np.log(error[usable]) - np.log(baseline[usable]))


def _effect(summary: TrialSummary, values: Floats, p: float | None, seed: int) -> OrderEffect:
    contamination, loss, lr, sigma, batch_size = _setting(summary)
    lo, hi = median_interval(values, seed) if len(values) else (None, None)
    return OrderEffect(
        order=str(summary.trial.order),
        contamination=contamination,
        loss=loss,
        lr=lr,
        sigma=sigma,
        batch_size=batch_size,
        log_ratio=float(np.median(values)) if len(values) else None,
        lo=lo,
        hi=hi,
        p_holm=p,
        n=len(values),
        left_out=len(summary.final_error) - len(values),
    )


def median_interval(values: Floats, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile-bootstrap interval of the median of `values` (n,)."""
    n = len(values)
    ranked = np.sort(values[_resamples(n, seed)], axis=1)
    medians = (ranked[:, (n - 1) // 2] + ranked[:, n // 2]) / 2  # np.median takes twice as long
    tail = (1 - _LEVEL) / 2
    return float(nearest_rank(medians, tail)), float(nearest_rank(medians, 1 - tail))


@lru_cache(maxsize=4)  # settings with n pairs share resamples
def _resamples(n: int, seed: int) -> NDArray[np.intp]:
    """Return the indices (_RESAMPLES, n) of resamples of n values."""
    draws = streams.uniforms(_RESAMPLES * n, seed, "bootstrap", n)
    return (draws * n).astype(np.intp).reshape(_RESAMPLES, -1)


def _signed_rank_p(values: Floats) -> float | None:
    if not len(values):
        return None
    return float(wilcoxon(values).pvalue) if values.any() else 1.0


def _holm(p_values: list[float | None]) -> list[float | None]:
    known = [p for p in p_values if p is not None]
    if not known:
        return p_values
    corrected = iter(multipletests(known, method="holm")[1])
    return [None if p is None else float(next(corrected)) for p in p_values]
