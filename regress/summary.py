"""From replicates to the numbers of a trial: medians with their 5 % and 95 % quantiles."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regress.metrics import Outcome, nearest_rank
from regress.problems import Problem
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
        return {name: value for name, value in every.items() if np.isfinite(value)}


def summarise(problem: Problem, trials: tuple[Trial, ...], outcome: Outcome) -> tuple[TrialSummary, ...]:
    """One summary for each of the L trials of an outcome, in their order."""
    return tuple(_summarise(problem, trial, outcome, lane) for lane, trial in enumerate(trials))


def _summarise(problem: Problem, trial: Trial, outcome: Outcome, lane: int) -> TrialSummary:
    diverged = outcome.diverged[-1, lane]

    def final(values: Floats) -> Floats:
        return np.where(diverged, np.inf, values)

    finals = {f"final_{name}": final(getattr(outcome, name)[-1, lane]) for name in HISTORIES} | {
        "excess_risk": final(outcome.excess_risk[lane]),
        "epochs_to_tolerance": final(outcome.epochs_to_tolerance[lane]),
    }
    if outcome.val_median_abs_residual is not None:
        finals["val_median_abs_residual"] = final(outcome.val_median_abs_residual[lane])
    ranking = {"param_error": "final_param_error"}.get(problem.ranking, problem.ranking)
    steps = outcome.first_nonfinite_step[lane]
    coefficients = problem.in_user_units(outcome.params[-1, lane][~diverged])
    return TrialSummary(
        trial=trial,
        histories={name: _quantiles(getattr(outcome, name)[:, lane]) for name in HISTORIES},
        finals={name: _quantiles(values) for name, values in finals.items()},
        final_error=finals["final_param_error"],
        ranking=finals[ranking],
        coefficients=(
            dict(zip(problem.parameter_names, np.median(coefficients, axis=0).tolist(), strict=True))
            if len(coefficients)
            else {}
        ),
        diverged=diverged,
        first_nonfinite_step=float(nearest_rank(np.where(steps == 0, np.inf, steps), 0.5)),
    )


def _quantiles(values: Floats) -> Quantiles:
    return Quantiles(*(nearest_rank(values, q) for q in (0.5, 0.05, 0.95)))
