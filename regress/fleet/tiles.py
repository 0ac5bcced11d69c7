"""Assignment of lanes to the slots of the compiled kernels' vectors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.kernels import WIDTH

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Tile:
    """All L lanes of S consecutive streams, in K layers of WIDTH slots.

    A slot reads the same stream in every layer, so that the layers share its rows. A layer holds one lane
    of each of the S streams, then the next lane of each, as often as the S streams fit; further lanes go to
    the next layer.
    """

    streams: slice
    lanes: int

    @property
    def size(self) -> int:
        """The number of streams S."""
        return int(self.streams.stop - self.streams.start)

    @property
    def lanes_per_layer(self) -> int:
        """How many lanes of each stream fit into a layer."""
        return WIDTH // self.size

    @property
    def layers(self) -> int:
        """The number of layers K."""
        return -(-self.lanes // self.lanes_per_layer)

    @property
    def source(self) -> NDArray[np.intp]:
        """The stream (WIDTH,) that each slot reads; unused slots read one as well, with no effect."""
        return np.arange(WIDTH) % self.size + int(self.streams.start)

    def place(self, values: Numbers) -> Numbers:
        """Return the slots' values (K, WIDTH, ...), 0 if unused, from those of lanes (L, R, ...)."""
        shape = values.shape[2:]
        placed = np.zeros((self.layers, WIDTH, *shape), values.dtype)
        used = np.zeros((self.layers * self.lanes_per_layer, self.size, *shape), values.dtype)
        used[: self.lanes] = values[:, self.streams]
        placed[:, : self.lanes_per_layer * self.size] = used.reshape(self.layers, -1, *shape)
        return placed

    def read(self, placed: Numbers) -> Numbers:
        """Return the values (L, S, ...) of the tile's lanes from those of its slots (K, WIDTH, ...)."""
        used = placed[:, : self.lanes_per_layer * self.size]
        return used.reshape(-1, self.size, *placed.shape[2:])[: self.lanes]


def split_into_tiles(streams: int, lanes: int) -> Iterator[Tile]:
    """Yield tiles that together hold `lanes` lanes on each of `streams` streams."""
    size = _streams_per_tile(streams, lanes)
    for first in range(0, streams, size):
        yield Tile(slice(first, min(first + size, streams)), lanes)


def _streams_per_tile(streams: int, lanes: int) -> int:
    """Return the number of streams per tile that needs the fewest layers; the largest such number."""

    def count_layers(size: int) -> int:
        full_tiles, remaining_streams = divmod(streams, size)
        last = Tile(slice(0, remaining_streams), lanes).layers if remaining_streams else 0
        return full_tiles * Tile(slice(0, size), lanes).layers + last

    return min(range(min(streams, WIDTH), 0, -1), key=count_layers)
