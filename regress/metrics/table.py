"""The table of metrics: what is measured of each trial, and how it is named, compared and printed.

Everything that deals with metrics reads this table: summaries, results.parquet, reruns, MLflow, terminal,
report, the Python interface and the documentation. To add a metric, add a function, an entry and a test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regress.losses import L2, Loss
from regress.metrics.measurement import Measurement
from regress.numerics.quantiles import nearest_rank
from regress.problems.problem import Problem

Floats = NDArray[np.float64]

Kind = Literal["history", "final", "trial"]
Unit = Literal["loss", "parameters", "target", "epochs", "steps", "fraction"]


@dataclass(frozen=True)
class Metric:
    """One metric of a trial.

    `measure` returns values (E, L, R) by epoch, trial and replicate for a history; (L, R) for a final
    metric, of which a trial keeps the median and the 5 % and 95 % quantiles over replicates; (L,) for a
    metric of the trial as a whole. The last value of a history is a final metric, too, named `final_...`.
    The best trials are chosen by a metric that `ranks`.
    """

    name: str
    label: str
    kind: Kind
    unit: Unit
    measure: Callable[[Measurement], Floats]
    less_is_better: bool = True
    ranks: bool = False
    is_listed: bool = False  # shown in lists of trials in addition to the metric that ranks
    number_format: str = ".3g"
    applies_to: Callable[[Problem], bool] = lambda _: True

    @property
    def final_name(self) -> str:
        """The name under which the final value is recorded."""
        return f"final_{self.name}" if self.kind == "history" else self.name


def excess_risk(m: Measurement) -> Floats:
    """Return mean u**2 / 2 (L, R) over the validation rows at the final parameters, minus that at w*."""
    squared: Loss = L2()
    risk = m.val_loss[-1].copy()  # what squared loss has measured already
    others = [i for i, loss in enumerate(m.losses) if not loss.is_squared]
    if others:
        risk[others] = m.val.mean_loss([squared] * len(others), m.params[-1:, others], {})[0]
    known = list(m.targets)
    least = m.val.mean_loss([squared] * len(known), np.stack([m.targets[k] for k in known])[None], {})[0]
    with np.errstate(invalid="ignore"):  # inf - inf of a model that overflowed
        return np.asarray(risk - least[[known.index(loss) for loss in m.losses]])


def epochs_to_tolerance(m: Measurement) -> Floats:
    """Return the first epoch (L, R), from 1, that ends with an error within tolerance; inf for none."""
    is_within = m.param_error <= m.tolerance
    return np.where(is_within.any(axis=0), is_within.argmax(axis=0) + 1.0, np.inf)


def val_median_abs_residual(m: Measurement) -> Floats:
    """Return the median |residual| (L, R) on the validation rows, in the units of the user's target."""
    return m.problem.target_scale * np.median(np.abs(m.val.residuals(m.params[-1])), axis=-1)


def first_nonfinite_step(m: Measurement) -> Floats:
    """Return the median (L,) over replicates of the first non-finite step; inf for never."""
    steps = m.first_nonfinite_step
    return nearest_rank(np.where(steps == 0, np.inf, steps), 0.5)


_ENTRIES = (
    Metric(
        name="train_loss",
        label="training loss",
        kind="history",
        unit="loss",
        measure=lambda m: m.train.mean_loss(m.losses, m.params, m.scales),
    ),
    Metric(
        name="val_loss",
        label="validation loss",
        kind="history",
        unit="loss",
        measure=lambda m: m.val_loss,
    ),
    Metric(
        name="param_error",
        label="parameter error",
        kind="history",
        unit="parameters",
        measure=lambda m: m.param_error,
        ranks=True,
    ),
    Metric(
        name="excess_risk",
        label="excess risk",
        kind="final",
        unit="loss",
        measure=excess_risk,
        is_listed=True,
    ),
    Metric(
        name="epochs_to_tolerance",
        label="epochs to tolerance",
        kind="final",
        unit="epochs",
        measure=epochs_to_tolerance,
        is_listed=True,
        number_format="g",
    ),
    Metric(
        name="val_median_abs_residual",
        label="|residual| on held-out rows",
        kind="final",
        unit="target",
        measure=val_median_abs_residual,
        ranks=True,
        applies_to=lambda problem: problem.ranking == "val_median_abs_residual",
    ),
    Metric(
        name="diverged_fraction",
        label="fraction of replicates that diverged",
        kind="trial",
        unit="fraction",
        measure=lambda m: m.diverged[-1].mean(axis=-1),
        is_listed=True,
    ),
    Metric(
        name="first_nonfinite_step",
        less_is_better=False,
        label="first step with non-finite parameters",
        kind="trial",
        unit="steps",
        measure=first_nonfinite_step,
        number_format="g",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}


def metrics_of_kind(kind: Kind) -> Iterator[Metric]:
    """Yield the table's metrics of one kind, in its order."""
    return (metric for metric in METRICS.values() if metric.kind == kind)


def history_names() -> tuple[str, ...]:
    """Return the names of the metrics that are recorded by epoch."""
    return tuple(metric.name for metric in metrics_of_kind("history"))


def final_metric(name: str) -> str:
    """Return the name under which the final value of the metric `name` is recorded."""
    return METRICS[name].final_name


def listed_names() -> tuple[str, ...]:
    """Return the final names of the metrics shown in lists of trials, those that rank first."""
    shown = sorted((m for m in METRICS.values() if m.ranks or m.is_listed), key=lambda m: not m.ranks)
    return tuple(metric.final_name for metric in shown)
