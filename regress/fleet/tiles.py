"""Which lane goes into which slot of the compiled engine's vectors."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regress.kernels import WIDTH

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Tile:
    """K layers of WIDTH slots; a slot reads one stream in all layers, so that its rows are shared.

    Idle slots read a stream like others, and nobody reads them: their lane is -1.
    """

    streams: Places  # (WIDTH,)
    lanes: Places  # (K, WIDTH)

    @property
    def taken(self) -> tuple[Places, Places]:
        """The layers and slots that hold a lane."""
        layers, slots = np.nonzero(self.lanes >= 0)
        return layers, slots

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (K, WIDTH, ...) of the slots from those of the lanes (L, R, ...); 0 in idle slots."""
        chosen = values[self.lanes, self.streams]
        chosen[self.lanes < 0] = 0.0
        return chosen


def tiles(streams: int, lanes: int) -> Iterator[Tile]:
    """Tiles for `lanes` lanes on each of `streams` streams."""
    group = _streams_of_a_tile(streams, lanes)
    for first in range(0, streams, group):
        yield _tile(np.arange(first, min(first + group, streams)), lanes)


def _tile(streams: Places, lanes: int) -> Tile:
    """All lanes of some streams, which are repeated while there are slots."""
    copies = WIDTH // len(streams)
    layers = -(-lanes // copies)
    source = np.full(WIDTH, streams[0])
    lane = np.full((layers, WIDTH), -1)
    used = slice(0, copies * len(streams))
    source[used] = np.tile(streams, copies)
    lane[:, used] = np.arange(layers)[:, None] * copies + np.repeat(np.arange(copies), len(streams))
    return Tile(source, np.where(lane < lanes, lane, -1))


def _streams_of_a_tile(streams: int, lanes: int) -> int:
    """How many streams lie side by side: the largest number that leaves the fewest slots idle."""

    def layers(group: int) -> int:
        full, rest = divmod(streams, group)
        return full * -(-lanes // (WIDTH // group)) + (-(-lanes // (WIDTH // rest)) if rest else 0)

    return min(range(min(streams, WIDTH), 0, -1), key=layers)
