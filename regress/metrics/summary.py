"""Summaries of trials: medians over replicates with their 5 % and 95 % quantiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regress.metrics.evaluate import ShardMetrics
from regress.metrics.table import final_metric
from regress.numerics.quantiles import nearest_ranks
from regress.problems import Problem
from regress.study import Trial

Floats = NDArray[np.float64]

QUANTILES = {"": 0.5, "_q05": 0.05, "_q95": 0.95}  # the suffix of a metric's name, and the fraction


class Quantiles(NamedTuple):
    """Nearest-rank quantiles over replicates, of one shape each; +inf where models diverged."""

    median: Floats
    q05: Floats
    q95: Floats

    @classmethod
    def of(cls, values: Floats) -> "Quantiles":
        """Return the quantiles of `values` over their last axis."""
        return cls(*nearest_ranks(values, *QUANTILES.values()))

    def named(self, name: str) -> dict[str, Floats]:
        """Return the quantiles under the names by which a metric `name` is recorded."""
        return {name + suffix: values for suffix, values in zip(QUANTILES, self, strict=True)}


@dataclass(frozen=True)
class TrialSummary:
    """The metrics of one trial over its replicates.

    `histories` hold E numbers each, `finals` one each; a diverged replicate counts as +inf in the finals,
    and in the histories from the epoch in which it became non-finite.
    """

    trial: Trial
    histories: dict[str, Quantiles]
    finals: dict[str, Quantiles]
    of_trial: dict[str, float]
    final_error: Floats  # (R,), +inf where diverged
    ranking: Floats  # (R,), likewise; empty where it is read from a recorded execution
    coefficients: dict[str, float]  # median over the replicates that did not diverge
    diverged: NDArray[np.bool_]  # (R,)
    theory: Mapping[str, float] = field(default_factory=dict)  # predictions, where there are any

    @property
    def ranked_by(self) -> Quantiles:
        """The quantiles of the metric by which trials are ranked."""
        return self.finals[final_metric(self.trial.problem.ranking)]

    @property
    def diverged_fraction(self) -> float:
        """The fraction of replicates that diverged."""
        return float(self.diverged.mean())

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics by name, those that are not finite left out."""
        return {name: value for name, value in self.all_metrics.items() if np.isfinite(value)}

    @property
    def all_metrics(self) -> dict[str, float]:
        """The final metrics by name, infinite where most replicates diverged."""
        values = {
            name: float(value)
            for metric, quantiles in self.finals.items()
            for name, value in quantiles.named(metric).items()
        }
        values |= self.of_trial
        values |= {f"coef_{name}": value for name, value in self.coefficients.items()}
        values |= {f"theory_{name}": value for name, value in self.theory.items()}
        return values


def summarise(
    problem: Problem, trials: tuple[Trial, ...], metrics: ShardMetrics
) -> tuple[TrialSummary, ...]:
    """Return one summary for each of the L trials of a shard, in their order."""
    diverged = metrics.diverged[-1]
    finals = _finals(metrics, diverged)
    # All trials at once: sorting many rows takes little longer than sorting one.
    histories = {name: Quantiles.of(values) for name, values in metrics.histories.items()}
    quantiles = {name: Quantiles.of(values) for name, values in finals.items()}
    coefficients = median_coefficients(problem.in_user_units(metrics.params[-1]), diverged)
    return tuple(
        TrialSummary(
            trial=trial,
            histories={n: Quantiles(*(v[:, i] for v in q)) for n, q in histories.items()},
            finals={n: Quantiles(*(v[i] for v in q)) for n, q in quantiles.items()},
            of_trial={name: float(values[i]) for name, values in metrics.of_trials.items()},
            final_error=finals["final_param_error"][i],
            ranking=finals[final_metric(problem.ranking)][i],
            coefficients=dict(zip(problem.parameter_names, coefficients[i], strict=True))
            if coefficients[i]
            else {},
            diverged=diverged[i],
        )
        for i, trial in enumerate(trials)
    )


def _finals(metrics: ShardMetrics, diverged: NDArray[np.bool_]) -> dict[str, Floats]:
    """Return final metrics (L, R) by name, +inf where diverged."""
    last = {final_metric(name): values[-1] for name, values in metrics.histories.items()}
    return {name: np.where(diverged, np.inf, values) for name, values in {**last, **metrics.finals}.items()}


def median_coefficients(params: Floats, diverged: NDArray[np.bool_]) -> list[list[float]]:
    """Return medians of parameters (L, R, P) over the replicates that did not diverge; [] if all did."""
    never_diverged = np.flatnonzero(~diverged.any(axis=1))
    medians: list[list[float]] = [[] for _ in params]
    # All these trials at once: the overhead of a call to np.median exceeds the time of its sort.
    for trial, values in zip(
        never_diverged, np.median(params[never_diverged], axis=1).tolist(), strict=True
    ):
        medians[trial] = values
    for trial in np.flatnonzero(diverged.any(axis=1) & ~diverged.all(axis=1)):
        medians[trial] = np.median(params[trial][~diverged[trial]], axis=0).tolist()
    return medians
