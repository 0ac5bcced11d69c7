"""Minibatch SGD of many models at once, and their losses and residuals."""

from regress.fleet.engines import mean_loss, residuals, train
from regress.fleet.lane import Lane, Trajectory
from regress.fleet.rearrange import EpochInputs, PreviousEpoch, Rearrangement
from regress.fleet.schedule import Reduction, Schedule, Tail

__all__ = [
    "EpochInputs",
    "Lane",
    "PreviousEpoch",
    "Rearrangement",
    "Reduction",
    "Schedule",
    "Tail",
    "Trajectory",
    "mean_loss",
    "residuals",
    "train",
]
