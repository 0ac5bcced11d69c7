"""Trains many models at once."""

from regress.fleet.rearrange import LastEpoch, Rearrangement, Standing
from regress.fleet.schedule import Reduction, Schedule, Tail
from regress.fleet.tiles import WIDTH
from regress.fleet.train import Lane, Trajectory, train

__all__ = [
    "WIDTH",
    "Lane",
    "LastEpoch",
    "Rearrangement",
    "Reduction",
    "Schedule",
    "Standing",
    "Tail",
    "Trajectory",
    "train",
]
