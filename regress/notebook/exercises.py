"""The exercises of the notebook that this project grew from, and the numbers that it printed.

They are exercises 3.4 to 3.7 of the d2l book, with the settings with which the notebook was run.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regress.contaminations import Clean, Contamination, Single
from regress.fleet import Reduction, Tail
from regress.losses import L1, L2, Loss, SmoothL1
from regress.orders import Shuffled
from regress.problems import Linear, Ohm, Planck, Problem
from regress.study import Trial

Floats = NDArray[np.float64]

REPLICATES = 10_000
LOW, HIGH = 0.0005, 0.9995  # quantiles between which a printed number must lie
NAN = math.nan


@dataclass(frozen=True)
class Fit:
    """One model of the notebook: its trial and its printed parameters.

    `printed` has one number for each parameter, or is empty. If the notebook printed the truth minus the
    estimate, `offset` is the truth.
    """

    label: str
    trial: Trial
    printed: tuple[float, ...] = ()
    is_companion: bool = False  # trained in the first block only, for a figure
    offset: tuple[float, ...] | None = None

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of the printed numbers."""
        names = self.trial.problem.parameter_names
        return names if self.offset is None else tuple(f"{name} − estimate" for name in names)

    def measured(self, params: Floats) -> Floats:
        """Return what the notebook would print (R, P) of final parameters (R, P).

        All are nan where one is not finite: the notebook did not freeze models, so that a nan spread.
        """
        is_finite = np.isfinite(params).all(axis=1, keepdims=True)
        return np.where(is_finite, params if self.offset is None else np.array(self.offset) - params, NAN)


@dataclass(frozen=True)
class Exercise:
    """One section of the notebook and the models trained in it."""

    name: str
    fits: tuple[Fit, ...]


def _trial(
    loss: Loss,
    lr: float,
    epochs: int,
    *,
    problem: Problem | None = None,
    contamination: Contamination | None = None,
    sigma: float = 0.01,
    reduction: Reduction = "mean",
    tail: Tail = "keep",
) -> Trial:
    return Trial(
        problem=problem or Linear(),
        contamination=contamination or Clean(),
        loss=loss,
        lr=lr,
        sigma=sigma,
        order=Shuffled(),
        batch_size=32,
        epochs=epochs,
        reduction=reduction,
        tail=tail,
        replicates=REPLICATES,
        dtype="float32",
    )


_OUTLIER = Single(row=5, value=10000.0)
BASE = Fit("lr 0.03", _trial(L2(), 0.03, 3), (1.8396, -3.2372, 3.9771))

EXERCISES = (
    Exercise(
        "learning rate",
        (
            Fit("lr 0.003", _trial(L2(), 0.003, 3), (0.4372, -0.8910, 1.0680)),
            BASE,
            Fit("lr 0.3", _trial(L2(), 0.3, 3), (2.0009, -3.3990, 4.1986)),
            Fit("lr 3", _trial(L2(), 3.0, 3), (-3.2974e29, 4.5504e29, -7.8700e28)),
            Fit("lr 0.003, 20 epochs", _trial(L2(), 0.003, 20)),
        ),
    ),
    Exercise(
        "initial scale",
        (
            Fit("sigma 0.01", _trial(L2(), 0.03, 3)),
            Fit("sigma 0", _trial(L2(), 0.03, 3, sigma=0.0)),
            Fit("sigma 1000", _trial(L2(), 0.03, 3, sigma=1000.0)),
        ),
    ),
    Exercise(
        "absolute loss",
        (
            Fit("l1, summed", _trial(L1(), 0.01, 3, reduction="sum"), (1.9236, -3.2809, 4.1000)),
            Fit("l2", _trial(L2(), 0.01, 3)),
        ),
    ),
    Exercise(
        "one outlier",
        (
            Fit(
                "l1, summed",
                _trial(L1(), 0.01, 3, reduction="sum", contamination=_OUTLIER),
                (-50.7932, 344.7570, 4.0400),
            ),
            Fit("l2", _trial(L2(), 0.01, 10, contamination=_OUTLIER), (NAN, NAN, NAN)),
            Fit(
                "smooth-l1, summed",
                _trial(SmoothL1(1.0), 1e-7, 10, reduction="sum", contamination=_OUTLIER),
                (0.0104, -0.0376, 0.0007),
            ),
            Fit("l1, summed, without", _trial(L1(), 0.01, 3, reduction="sum"), is_companion=True),
            Fit("l2, without", _trial(L2(), 0.01, 10), is_companion=True),
            Fit(
                "smooth-l1, summed, without",
                _trial(SmoothL1(1.0), 1e-7, 10, reduction="sum"),
                is_companion=True,
            ),
        ),
    ),
    Exercise(
        "ohm",
        (
            Fit(
                "truth − estimate",
                _trial(L2(), 0.03, 3, problem=Ohm(resistance=5.1, noise=1.0)),
                (0.3010, -0.0321),
                offset=(5.1, 0.0),
            ),
        ),
    ),
    Exercise(
        "planck",
        (
            Fit(
                "T from 3000 K",
                _trial(L2(), 1e-21, 5, problem=Planck(temperature=5020.0, noise=0.05), sigma=3000.0),
                (5054.9624,),
            ),
        ),
    ),
    Exercise(
        "tail batch",
        tuple(Fit(f"tail {tail}", _trial(L2(), 0.03, 3, tail=tail)) for tail in ("keep", "drop", "weight")),
    ),
)

# Negative control: with a mean instead of a sum each step of absolute loss is 32 times smaller, hence the
# printed numbers must lie outside the ensemble.
CONTROL = Exercise(
    "absolute loss",
    (Fit("l1, averaged", _trial(L1(), 0.01, 3), (1.9236, -3.2809, 4.1000)),),
)

LAST_BATCH = ("tail batch", "tail keep", "rows in the last batch", 8.0)
