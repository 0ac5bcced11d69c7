"""Which lane goes into which slot of the compiled engine's vectors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.kernels import WIDTH

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Tile:
    """All L lanes of S neighbouring streams, in K layers of WIDTH slots.

    A slot reads one stream in all layers, so that its rows are shared. The S streams lie side by side,
    repeated for further lanes while slots are left: the first lanes of all streams, then the next layer.
    """

    streams: slice
    lanes: int

    @property
    def size(self) -> int:
        """How many streams lie side by side, S."""
        return int(self.streams.stop - self.streams.start)

    @property
    def copies(self) -> int:
        """How often the streams fit into a layer."""
        return WIDTH // self.size

    @property
    def layers(self) -> int:
        """How many layers its lanes fill, K."""
        return -(-self.lanes // self.copies)

    @property
    def source(self) -> NDArray[np.intp]:
        """The stream (WIDTH,) that each slot reads; idle slots read one as well, and are ignored."""
        return np.arange(WIDTH) % self.size + int(self.streams.start)

    def place(self, values: Numbers) -> Numbers:
        """Values (K, WIDTH, ...) of the slots, 0 if idle, from those of lanes and streams (L, R, ...)."""
        rest = values.shape[2:]
        placed = np.zeros((self.layers, WIDTH, *rest), values.dtype)
        used = np.zeros((self.layers * self.copies, self.size, *rest), values.dtype)
        used[: self.lanes] = values[:, self.streams]
        placed[:, : self.copies * self.size] = used.reshape(self.layers, -1, *rest)
        return placed

    def read(self, placed: Numbers) -> Numbers:
        """Values (L, S, ...) of the tile's lanes from those of its slots (K, WIDTH, ...)."""
        used = placed[:, : self.copies * self.size]
        return used.reshape(-1, self.size, *placed.shape[2:])[: self.lanes]


def tiles(streams: int, lanes: int) -> Iterator[Tile]:
    """Tiles for `lanes` lanes on each of `streams` streams."""
    size = _streams_of_a_tile(streams, lanes)
    for first in range(0, streams, size):
        yield Tile(slice(first, min(first + size, streams)), lanes)


def _streams_of_a_tile(streams: int, lanes: int) -> int:
    """How many streams lie side by side: the largest number that leaves the fewest slots idle."""

    def layers(size: int) -> int:
        full, rest = divmod(streams, size)
        last = Tile(slice(0, rest), lanes).layers if rest else 0
        return full * Tile(slice(0, size), lanes).layers + last

    return min(range(min(streams, WIDTH), 0, -1), key=layers)
