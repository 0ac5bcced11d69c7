"""Independent random streams, one for each (seed, purpose, replicate, index).

Philox4x64 in counter mode, with the key (seed, hash of purpose) and the counter starting at (replicate,
index). A stream is opened without drawing from any other, so that a trial's random numbers depend on its
own keys only. NumPy guarantees the raw bits of its bit generators across versions, but not the
distributions of `Generator`: the distributions are therefore computed here from raw words.
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


def random_words(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> NDArray[np.uint64]:
    """Return `n` raw 64-bit words (n,) of the stream (seed, purpose, replicate, index)."""
    return _generator.random_words(n, seed, _word(purpose), replicate, index)


@lru_cache
def _word(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


class _Generator(local):
    """A Philox generator per thread, reset to each stream: constructing one costs more than 1,000 words."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.counter = np.zeros(4, np.uint64)
        self.key = np.zeros(2, np.uint64)
        self.state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self.counter, "key": self.key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,  # the buffer's length: it is empty
            "has_uint32": 0,
            "uinteger": 0,
        }

    def random_words(self, n: int, seed: int, word: int, replicate: int, index: int) -> NDArray[np.uint64]:
        self.counter[2], self.counter[3] = index, replicate
        self.key[0], self.key[1] = seed, word
        self.philox.state = self.state
        return self.philox.random_raw(n)


_generator = _Generator()


def uniforms(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> Floats:
    """Return `n` numbers (n,) uniform on the open interval (0, 1).

    Each is the midpoint of one of 2**52 cells of equal width.
    """
    # 52 bits, not 53: the midpoint of the last of 2**53 cells would round to 1.
    cells = random_words(n, seed, purpose, replicate, index) >> np.uint64(12)
    return (cells.astype(np.float64) + 0.5) * 2.0**-52


def normals(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> Floats:
    """Return `n` standard normal numbers (n,), the quantiles of `uniforms`."""
    return inverse_normal(uniforms(n, seed, purpose, replicate, index))


def normals_by_replicate(n: int, seed: int, purpose: str, replicates: Iterable[int]) -> Floats:
    """Return `n` standard normal numbers of each replicate's stream (R, n), all transformed at once."""
    return inverse_normal(np.stack([uniforms(n, seed, purpose, r) for r in replicates]))


def permutation(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> NDArray[np.intp]:
    """Return a uniform random permutation (n,) of 0..n-1, the ranks of `n` raw words."""
    return np.asarray(permutations(n, seed, purpose, [replicate], [index])[0, 0])


def permutations(
    n: int, seed: int, purpose: str, replicates: Sequence[int], indices: Sequence[int]
) -> NDArray[np.intp]:
    """Return the permutations (R, I, n) of all replicates' and indices' streams, sorted in one call."""
    words = np.empty((len(replicates), len(indices), n), np.uint64)
    for row, replicate in zip(words, replicates, strict=True):
        for target, index in zip(row, indices, strict=True):
            target[:] = random_words(n, seed, purpose, replicate, index)
    # The lowest bits of each word are replaced by its index: sorting values takes half as long as argsort,
    # and no two values are equal.
    mask = np.uint64((1 << max(n - 1, 0).bit_length()) - 1)
    words &= ~mask
    words |= np.arange(n, dtype=np.uint64)
    words.sort(axis=-1)
    words &= mask
    order: NDArray[np.intp] = words.view(np.int64).astype(np.intp, copy=False)
    return order
