"""One random stream per purpose.

Philox4x64 in counter mode, keyed by (seed, purpose) and started at the block (replicate, index): any
stream can be opened without drawing another, so a trial's draws depend on nothing but its own keys.
NumPy promises the raw bits, not the distributions of `Generator`; what is made of them is made here.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.numerics.normal import inverse_normal

Floats = NDArray[np.float64]


def bits(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> NDArray[np.uint64]:
    """`n` raw 64-bit words of the stream (seed, purpose, replicate, index)."""
    return _thread.bits(n, seed, _word(purpose), replicate, index)


@lru_cache
def _word(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


class _Generator(local):
    """One generator a thread, whose state is set: making another takes longer than drawing 1,000 words."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.counter = np.zeros(4, np.uint64)
        self.key = np.zeros(2, np.uint64)
        self.state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self.counter, "key": self.key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,  # nothing is left in it
            "has_uint32": 0,
            "uinteger": 0,
        }

    def bits(self, n: int, seed: int, word: int, replicate: int, index: int) -> NDArray[np.uint64]:
        self.counter[2], self.counter[3] = index, replicate
        self.key[0], self.key[1] = seed, word
        self.philox.state = self.state
        return self.philox.random_raw(n)


_thread = _Generator()


def uniforms(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> Floats:
    """`n` numbers uniform on the open interval (0, 1), each the middle of one of 2**52 cells."""
    # 52 bits, not 53: the middle of the last of 2**53 cells would round to 1.
    cells = bits(n, seed, purpose, replicate, index) >> np.uint64(12)
    return (cells.astype(np.float64) + 0.5) * 2.0**-52


def normals(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> Floats:
    """`n` standard normal numbers, by the inverse distribution function."""
    return inverse_normal(uniforms(n, seed, purpose, replicate, index))


def normals_by_replicate(n: int, seed: int, purpose: str, replicates: Iterable[int]) -> Floats:
    """`n` standard normal numbers of each replicate's stream (R, n), all transformed at once."""
    return inverse_normal(np.stack([uniforms(n, seed, purpose, r) for r in replicates]))


def permutation(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> NDArray[np.intp]:
    """A uniform permutation of 0..n-1: the ranks of `n` raw words."""
    return np.asarray(permutations(n, seed, purpose, [replicate], [index])[0, 0])


def permutations(
    n: int, seed: int, purpose: str, replicates: Sequence[int], indices: Sequence[int]
) -> NDArray[np.intp]:
    """Permutations (R, I, n) of the streams of all replicates and indices, sorted in one call."""
    words = np.empty((len(replicates), len(indices), n), np.uint64)
    for row, replicate in zip(words, replicates, strict=True):
        for target, index in zip(row, indices, strict=True):
            target[:] = bits(n, seed, purpose, replicate, index)
    # The lowest bits of each word make room for its index: sorting numbers takes half as long as sorting
    # their indices, and no two are equal.
    mask = np.uint64((1 << max(n - 1, 0).bit_length()) - 1)
    words &= ~mask
    words |= np.arange(n, dtype=np.uint64)
    words.sort(axis=-1)
    words &= mask
    order: NDArray[np.intp] = words.view(np.int64).astype(np.intp, copy=False)
    return order
