"""Trials held against one another: the winners, and what an order changed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from regress.metrics.summary import TrialSummary
from regress.numerics import streams
from regress.numerics.quantiles import nearest_rank
from regress.orders import Order
from regress.problems.problem import Ranking

Floats = NDArray[np.float64]

_RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class Best:
    """The trial that came first under one contamination, among those of `ranked_order`."""

    contamination: str
    loss: str
    lr: float
    sigma: float
    order: str
    batch_size: int
    metric: Ranking
    median: float
    q05: float
    q95: float


@dataclass(frozen=True)
class OrderEffect:
    """What an order changed against shuffling, in one cell of the grid, pair by pair.

    `log_ratio` is the median over n replicates of log(param_error / shuffled's), `lo` and `hi` its 95 %
    bootstrap interval, `p_holm` a Wilcoxon signed-rank p corrected over all cells. Pairs with a
    diverged lane are `left_out`. All None where no pair is left.
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


@dataclass(frozen=True)
class Diverged:
    """How many of the trials of one contamination and loss diverged, and from which lr on."""

    contamination: str
    loss: str
    trials: int
    diverged: int  # at least one replicate
    wholly: int  # every replicate
    from_lr: float


@dataclass(frozen=True)
class Comparison:
    best: tuple[Best, ...]
    diverged: tuple[Diverged, ...]  # only where any did
    orders: tuple[OrderEffect, ...]

    @property
    def diverged_trials(self) -> int:
        """Trials of which at least one replicate diverged."""
        return sum(row.diverged for row in self.diverged)

    def as_json(self) -> dict[str, Any]:
        return {
            "diverged_trials": self.diverged_trials,
            "diverged": [asdict(row) for row in self.diverged],
            "best": [asdict(row) for row in self.best],
            "orders": [asdict(row) for row in self.orders],
        }


def compare(summaries: Iterable[TrialSummary], ranking: Ranking, seed: int) -> Comparison:
    """The comparison of a study's trials; `seed` keys the bootstrap's stream."""
    every = tuple(summaries)
    return Comparison(
        best=_best(every, ranking),
        diverged=_diverged(every),
        orders=_orders(every, seed),
    )


def ranked_order(summaries: Sequence[TrialSummary]) -> Order:
    """The order whose trials are ranked: shuffled, or the first one in a study that never shuffles."""
    orders = [summary.trial.order for summary in summaries]
    return next((order for order in orders if order.is_shuffled), orders[0])


def _best(summaries: Sequence[TrialSummary], ranking: Ranking) -> tuple[Best, ...]:
    winners: dict[str, Best] = {}
    order = ranked_order(summaries)
    for summary in summaries:
        trial = summary.trial
        median = float(nearest_rank(summary.ranking, 0.5))
        if trial.order != order or not np.isfinite(median):
            continue
        contamination = str(trial.contamination)
        if contamination not in winners or median < winners[contamination].median:
            winners[contamination] = Best(
                contamination=contamination,
                loss=str(trial.loss),
                lr=trial.lr,
                sigma=trial.sigma,
                order=str(trial.order),
                batch_size=trial.batch_size,
                metric=ranking,
                median=median,
                q05=float(nearest_rank(summary.ranking, 0.05)),
                q95=float(nearest_rank(summary.ranking, 0.95)),
            )
    return tuple(winners.values())


def _diverged(summaries: tuple[TrialSummary, ...]) -> tuple[Diverged, ...]:
    groups: dict[tuple[str, str], list[TrialSummary]] = {}
    for summary in summaries:
        key = str(summary.trial.contamination), str(summary.trial.loss)
        groups.setdefault(key, []).append(summary)
    return tuple(
        Diverged(
            contamination=contamination,
            loss=loss,
            trials=len(group),
            diverged=len(gone),
            wholly=sum(bool(summary.diverged.all()) for summary in gone),
            from_lr=min(summary.trial.lr for summary in gone),
        )
        for (contamination, loss), group in groups.items()
        if (gone := [summary for summary in group if summary.diverged.any()])
    )


def _cell(summary: TrialSummary) -> tuple[str, str, float, float, int]:
    trial = summary.trial
    return str(trial.contamination), str(trial.loss), trial.lr, trial.sigma, trial.batch_size


def _orders(summaries: tuple[TrialSummary, ...], seed: int) -> tuple[OrderEffect, ...]:
    shuffled = {
        _cell(summary): summary.final_error for summary in summaries if summary.trial.order.is_shuffled
    }
    pairs = [
        (summary, shuffled[_cell(summary)])
        for summary in summaries
        if not summary.trial.order.is_shuffled and _cell(summary) in shuffled
    ]
    ratios = [log_ratios(summary.final_error, baseline) for summary, baseline in pairs]
    corrected = _holm([_signed_rank_p(values) for values in ratios])
    return tuple(
        _effect(summary, values, p, seed)
        for (summary, _), values, p in zip(pairs, ratios, corrected, strict=True)
    )


def log_ratios(error: Floats, baseline: Floats) -> Floats:
    """log(error / baseline) of the pairs in which both are finite and neither is zero."""
    usable = np.isfinite(error) & np.isfinite(baseline) & (error > 0) & (baseline > 0)
    return np.asarray(np.log(error[usable]) - np.log(baseline[usable]))


def _effect(summary: TrialSummary, values: Floats, p: float | None, seed: int) -> OrderEffect:
    contamination, loss, lr, sigma, batch_size = _cell(summary)
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
    """The 95 % percentile-bootstrap interval of the median of `values` (n,)."""
    n = len(values)
    ranked = np.sort(values[_resamples(n, seed)], axis=1)
    medians = (ranked[:, (n - 1) // 2] + ranked[:, n // 2]) / 2  # np.median takes twice as long
    tail = (1 - _LEVEL) / 2
    return float(nearest_rank(medians, tail)), float(nearest_rank(medians, 1 - tail))


@lru_cache(maxsize=4)  # all cells with n pairs are resampled alike
def _resamples(n: int, seed: int) -> NDArray[np.intp]:
    """Which of n values each resample holds (_RESAMPLES, n)."""
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
