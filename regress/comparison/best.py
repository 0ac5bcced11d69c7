"""The best trial under each contamination."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regress.metrics.summary import TrialSummary
from regress.orders import Order
from regress.problems.problem import Ranking
from regress.study import Trial


@dataclass(frozen=True)
class BestRow:
    """The best trial under one contamination, as text and numbers."""

    contamination: str
    loss: str
    lr: float
    sigma: float
    order: str
    batch_size: int
    metric: Ranking
    median: float
    q05: float
    q95: float | None  # None where it is infinite


@dataclass(frozen=True)
class Best:
    """The trial that came first under one contamination, among those of `ranked_order`."""

    trial: Trial
    metric: Ranking
    median: float
    q05: float
    q95: float

    @property
    def row(self) -> BestRow:
        """The same as text and numbers."""
        trial = self.trial
        return BestRow(
            contamination=str(trial.contamination),
            loss=str(trial.loss),
            lr=trial.lr,
            sigma=trial.sigma,
            order=str(trial.order),
            batch_size=trial.batch_size,
            metric=self.metric,
            median=self.median,
            q05=self.q05,
            q95=self.q95,
        )


def choose_best(summaries: Sequence[TrialSummary], ranking: Ranking) -> tuple[Best, ...]:
    """Return the trial with the least median under each contamination that has a finite one."""
    winners: dict[str, Best] = {}
    order = ranked_order(summaries)
    for summary in summaries:
        median, q05, q95 = map(float, summary.ranked_by)
        if summary.trial.order != order or not np.isfinite(median):
            continue
        contamination = str(summary.trial.contamination)
        if contamination not in winners or median < winners[contamination].median:
            winners[contamination] = Best(summary.trial, ranking, median, q05, q95)
    return tuple(winners.values())


def ranked_order(summaries: Sequence[TrialSummary]) -> Order:
    """Return the order whose trials are ranked: shuffled, or the first one in a study without it."""
    orders = [summary.trial.order for summary in summaries]
    return next((order for order in orders if order.is_shuffled), orders[0])
