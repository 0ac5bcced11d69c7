"""Inputs and results of training: lanes, their rows and orders, and their trajectories."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.schedule import Schedule
from regress.losses import Loss


@dataclass(frozen=True)
class Lane:
    """Loss and learning rate of a model; its rows are those of its stream, shared with other lanes."""

    loss: Loss
    lr: float


@dataclass(frozen=True)
class Training:
    """Everything that L lanes of one loss on each of R streams are trained from."""

    rows: NDArray[Any]  # (R, n, C) in the training dtype
    orders: NDArray[np.intp]  # (R, E, n) row indices
    start: NDArray[np.float64]  # (L, R, P) initial parameters
    lrs: NDArray[np.float64]  # (L,) learning rates
    schedule: Schedule
    scale: NDArray[np.float64] | None  # (R,) scale of the residuals, for a loss that uses it


@dataclass(frozen=True)
class Trajectory:
    """The parameters of each lane at the end of each epoch.

    Attributes
    ----------
    params
        Parameters (E, L, R, P) in the training dtype.
    first_nonfinite
        The step (L, R), counted from 1, at which a lane's parameters became non-finite, or 0 if they never
        did. Such a lane is not updated after that step.
    """

    params: torch.Tensor
    first_nonfinite: NDArray[np.int64]
