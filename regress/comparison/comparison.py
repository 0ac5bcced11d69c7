"""All trials of a study compared with each other."""

from collections.abc import Iterable
from dataclasses import dataclass

from regress.comparison.best import Best, choose_best
from regress.comparison.divergence import Diverged, count_diverged
from regress.comparison.order_effects import OrderEffect, compare_orders
from regress.metrics.summary import TrialSummary
from regress.problems.problem import Ranking


@dataclass(frozen=True)
class Comparison:
    """Winners, divergence and order effects of a study."""

    best: tuple[Best, ...]
    diverged: tuple[Diverged, ...]  # only where any trial did
    orders: tuple[OrderEffect, ...]

    @property
    def diverged_trials(self) -> int:
        """The number of trials of which at least one replicate diverged."""
        return sum(row.diverged for row in self.diverged)


def compare(summaries: Iterable[TrialSummary], ranking: Ranking, seed: int) -> Comparison:
    """Compare the trials of a study; `seed` keys the bootstrap's stream."""
    trials = tuple(summaries)
    return Comparison(choose_best(trials, ranking), count_diverged(trials), compare_orders(trials, seed))
