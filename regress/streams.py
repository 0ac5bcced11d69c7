"""One random stream per purpose.

Philox4x64 in counter mode, keyed by (seed, purpose) and started at the block (replicate, index): any
stream can be opened without drawing another, so a trial's draws depend on nothing but its own keys.
NumPy promises the raw bits, not the distributions of `Generator`; what is made of them is made here.
"""

from collections.abc import Iterable
from hashlib import blake2b
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.numerics.normal import inverse_normal

Floats = NDArray[np.float64]


def bits(n: int, seed: int, purpose: str, replicate: int = 0, index: int = 0) -> NDArray[np.uint64]:
    """`n` raw 64-bit words of the stream (seed, purpose, replicate, index)."""
    word = int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")
    generator = _generator()
    counter, key = np.array([0, 0, index, replicate], np.uint64), np.array([seed, word], np.uint64)
    generator.state = _FRESH | {"state": {"counter": counter, "key": key}}
    return generator.random_raw(n)


# What a fresh generator's state is beside key and counter. Setting it takes half as long as making one.
_FRESH: Any = {
    "bit_generator": "Philox",
    "buffer": np.zeros(4, np.uint64),
    "buffer_pos": 4,
    "has_uint32": 0,
    "uinteger": 0,
}
_threads = local()


def _generator() -> np.random.Philox:
    """The generator of this thread, in whatever state."""
    if not hasattr(_threads, "generator"):
        _threads.generator = np.random.Philox(0)
    generator: np.random.Philox = _threads.generator
    return generator


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
    # The lowest bits of each word make room for its index: sorting numbers takes half as long as sorting
    # their indices, and no two are equal.
    mask = np.uint64((1 << max(n - 1, 0).bit_length()) - 1)
    words = (bits(n, seed, purpose, replicate, index) & ~mask) | np.arange(n, dtype=np.uint64)
    words.sort()
    return (words & mask).astype(np.intp)
