"""What a model trains with, and what its training comes to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.schedule import Schedule
from regress.losses import Loss


@dataclass(frozen=True)
class Lane:
    """What a model trains with, beside the rows that it shares with its stream."""

    loss: Loss
    lr: float


@dataclass(frozen=True)
class Training:
    """What L lanes of one loss on R streams are trained from."""

    rows: NDArray[Any]  # (R, n, C) in the training dtype
    orders: NDArray[np.intp]  # (R, E, n) row indices
    start: NDArray[np.float64]  # (L, R, P)
    lrs: NDArray[np.float64]  # (L,)
    schedule: Schedule
    scale: NDArray[np.float64] | None  # (R,) of the residuals, for a loss that asks for it


@dataclass(frozen=True)
class Trajectory:
    """Where each lane stood at each epoch's end.

    `params` (E, L, R, P) in the training dtype; `first_nonfinite` (L, R) the step, counted from 1, at
    which a lane's parameters first were not finite, 0 where they always were. Such a lane stays as it
    was at that step.
    """

    params: torch.Tensor
    first_nonfinite: NDArray[np.int64]
