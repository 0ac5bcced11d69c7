"""What a model trains with, and what its training comes to."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regress.losses import Loss


@dataclass(frozen=True)
class Lane:
    """What a model trains with, beside the rows that it shares with its stream."""

    loss: Loss
    lr: float


@dataclass(frozen=True)
class Trajectory:
    """Where each lane stood at each epoch's end.

    `params` (E, L, R, P) in the training dtype; `first_nonfinite` (L, R) the step, counted from 1, at
    which a lane's parameters first were not finite, 0 where they always were. Such a lane stays as it
    was at that step.
    """

    params: torch.Tensor
    first_nonfinite: NDArray[np.int64]
