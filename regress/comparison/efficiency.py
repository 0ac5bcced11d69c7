"""The best trials compared with reference estimators."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regress.comparison.best import Best
from regress.estimators.references import Reference
from regress.metrics.summary import TrialSummary
from regress.numerics.quantiles import nearest_ranks
from regress.problems.problem import Ranking

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RelativeEfficiency:
    """A reference estimator and the best trial under the same contamination.

    `efficiency` is the relative efficiency of the trial: the reference's mean squared error over the
    trial's, the error being the metric that ranks, the mean over replicates. Above 1 the trial is the
    better estimate; at .8 it is worth as much as the reference on 80 % of the rows. None where a
    replicate of the reference has no fit, or no trial stayed finite.
    """

    contamination: str
    estimator: str
    metric: Ranking
    median: float
    q05: float
    q95: float
    converged: float  # share of the replicates
    excess_risk: float  # median, as the next
    trial_excess_risk: float | None
    efficiency: float | None


def compare_with_references(
    references: Iterable[Reference], summaries: Sequence[TrialSummary], best: Iterable[Best]
) -> tuple[RelativeEfficiency, ...]:
    """Compare each reference with the best trial under its contamination."""
    by_trial = {summary.trial: summary for summary in summaries}
    winners = {row.trial.contamination: by_trial[row.trial] for row in best}
    return tuple(_compare(reference, winners.get(reference.contamination)) for reference in references)


def relative_efficiency(reference: Floats, trial: Floats) -> float | None:
    """Return the mean squared error of a reference (R,) over a trial's (R,); None where it is not finite.

    A diverged replicate has an infinite error: with one among the trial's the efficiency is 0.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = float(np.mean(reference**2) / np.mean(trial**2))
    return ratio if np.isfinite(ratio) else None


def _compare(reference: Reference, winner: TrialSummary | None) -> RelativeEfficiency:
    median, q05, q95 = nearest_ranks(reference.ranking, 0.5, 0.05, 0.95)
    return RelativeEfficiency(
        contamination=str(reference.contamination),
        estimator=reference.estimator.name,
        metric=reference.problem.ranking,
        median=float(median),
        q05=float(q05),
        q95=float(q95),
        converged=reference.converged_fraction,
        excess_risk=float(reference.quantiles("excess_risk").median),
        trial_excess_risk=None if winner is None else float(winner.finals["excess_risk"].median),
        efficiency=None if winner is None else relative_efficiency(reference.ranking, winner.ranking),
    )
