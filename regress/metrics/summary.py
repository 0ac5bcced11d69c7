"""From replicates to the numbers of a trial: medians with their 5 % and 95 % quantiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regress.metrics.evaluate import Outcome, nearest_rank, nearest_ranks
from regress.problems import Problem
from regress.report.format import final_metric
from regress.study import Trial

Floats = NDArray[np.float64]

HISTORIES = ("train_loss", "val_loss", "param_error")


class Quantiles(NamedTuple):
    """Nearest-rank quantiles over replicates, each of any one shape; +inf where lanes diverged."""

    median: Floats
    q05: Floats
    q95: Floats


@dataclass(frozen=True)
class TrialSummary:
    """One trial over its replicates.

    `histories` hold E numbers each, `finals` one each; a diverged replicate counts as +inf in the
    finals, and in the histories from the epoch on at which it left the numbers.
    """

    trial: Trial
    histories: dict[str, Quantiles]
    finals: dict[str, Quantiles]
    final_error: Floats  # (R,), +inf where diverged
    ranking: Floats  # (R,), likewise
    coefficients: dict[str, float]  # median over the replicates that did not diverge
    diverged: NDArray[np.bool_]  # (R,)
    first_nonfinite_step: float  # median over replicates, +inf where most never were
    theory: Mapping[str, float] = field(default_factory=dict)  # what is predicted, where it can be

    @property
    def diverged_fraction(self) -> float:
        return float(self.diverged.mean())

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics by name, those that are not finite left out."""
        every = {
            name + suffix: float(value)
            for name, quantiles in self.finals.items()
            for suffix, value in zip(("", "_q05", "_q95"), quantiles, strict=True)
        }
        every["diverged_fraction"] = self.diverged_fraction
        every["first_nonfinite_step"] = self.first_nonfinite_step
        every |= {f"coef_{name}": value for name, value in self.coefficients.items()}
        every |= {f"theory_{name}": value for name, value in self.theory.items()}
        return {name: value for name, value in every.items() if np.isfinite(value)}


def summarise(problem: Problem, trials: tuple[Trial, ...], outcome: Outcome) -> tuple[TrialSummary, ...]:
    """One summary for each of the L trials of an outcome, in their order."""
    diverged = outcome.diverged[-1]
    finals = _finals(outcome, diverged)
    # All trials at once: a quantile costs a sort, and a sort of many rows costs little more than one.
    histories = {name: _quantiles(getattr(outcome, name)) for name in HISTORIES}
    quantiles = {name: _quantiles(values) for name, values in finals.items()}
    steps = outcome.first_nonfinite_step
    first_steps = nearest_rank(np.where(steps == 0, np.inf, steps), 0.5)
    coefficients = _coefficients(problem.in_user_units(outcome.params[-1]), diverged)
    return tuple(
        TrialSummary(
            trial=trial,
            histories={n: Quantiles(*(v[:, lane] for v in q)) for n, q in histories.items()},
            finals={n: Quantiles(*(v[lane] for v in q)) for n, q in quantiles.items()},
            final_error=finals["final_param_error"][lane],
            ranking=finals[final_metric(problem.ranking)][lane],
            coefficients=dict(zip(problem.parameter_names, coefficients[lane], strict=True))
            if coefficients[lane]
            else {},
            diverged=diverged[lane],
            first_nonfinite_step=float(first_steps[lane]),
        )
        for lane, trial in enumerate(trials)
    )


def _finals(outcome: Outcome, diverged: NDArray[np.bool_]) -> dict[str, Floats]:
    """Final metrics (L, R) by name, +inf where diverged."""
    finals = {f"final_{name}": getattr(outcome, name)[-1] for name in HISTORIES}
    finals["excess_risk"] = outcome.excess_risk
    finals["epochs_to_tolerance"] = outcome.epochs_to_tolerance
    if outcome.val_median_abs_residual is not None:
        finals["val_median_abs_residual"] = outcome.val_median_abs_residual
    return {name: np.where(diverged, np.inf, values) for name, values in finals.items()}


def _coefficients(params: Floats, diverged: NDArray[np.bool_]) -> list[list[float]]:
    """Medians of parameters (L, R, P) over the replicates that did not diverge; [] where all did."""
    healthy = np.flatnonzero(~diverged.any(axis=1))
    medians: list[list[float]] = [[] for _ in params]
    # All healthy trials at once: a median by itself costs more than its sort.
    for lane, values in zip(healthy, np.median(params[healthy], axis=1).tolist(), strict=True):
        medians[lane] = values
    for lane in np.flatnonzero(diverged.any(axis=1) & ~diverged.all(axis=1)):
        medians[lane] = np.median(params[lane][~diverged[lane]], axis=0).tolist()
    return medians


def _quantiles(values: Floats) -> Quantiles:
    return Quantiles(*nearest_ranks(values, 0.5, 0.05, 0.95))
