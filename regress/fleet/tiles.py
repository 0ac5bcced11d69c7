"""Who sits where: lanes ride in tiles of exactly 16 beside others of the same stream and loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from regress.losses import Loss

WIDTH = 16  # seats in a tile
TILES = 1024  # tiles trained in one go: at 32 rows a step, 2 MiB of float32 residuals


@dataclass(frozen=True)
class Tiles:
    """G tiles of WIDTH seats, sorted by loss."""

    lanes: NDArray[np.intp]  # (G, WIDTH) lane indices, -1 an empty seat
    replicates: NDArray[np.intp]  # (G,)
    losses: tuple[tuple[Loss, slice], ...]  # which tiles train with which loss

    @property
    def are_empty(self) -> NDArray[np.bool_]:
        """Which seats (G, WIDTH) hold no lane."""
        return self.lanes < 0


def blocks(losses: Sequence[Loss], replicates: int, crew: int = WIDTH) -> Iterator[Tiles]:
    """Seats for lane i with loss i on every replicate, `crew` lanes to a tile, TILES tiles at a time."""
    seats = []
    for loss in dict.fromkeys(losses):
        own = [i for i, other in enumerate(losses) if other == loss]
        for start in range(0, len(own), crew):
            tile = own[start : start + crew]
            seats.append((loss, tile + [-1] * (WIDTH - len(tile))))
    # Tiles in the order (loss, lanes, replicate).
    every = [(loss, row, r) for loss, row in seats for r in range(replicates)]
    for start in range(0, len(every), TILES):
        block = every[start : start + TILES]
        yield Tiles(
            lanes=np.array([row for _, row, _ in block]),
            replicates=np.array([r for _, _, r in block]),
            losses=tuple(_runs([loss for loss, _, _ in block])),
        )


def _runs(losses: Sequence[Loss]) -> Iterator[tuple[Loss, slice]]:
    """Each loss and the run of places that it holds."""
    first = 0
    for loss, run in groupby(losses):
        length = len(list(run))
        yield loss, slice(first, first + length)
        first += length
