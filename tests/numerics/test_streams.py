"""Random streams: recorded draws stay the same, and depend on the stream's own keys only."""

from collections.abc import Callable
from hashlib import blake2b
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.numerics import streams

SEEDS = st.integers(0, 2**64 - 1)
PURPOSES = st.text(max_size=20)
INDICES = st.integers(0, 2**32)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Return one block of Philox4x64-10.

    Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3.
    """
    c, k = list(counter), list(key)
    for _ in range(10):
        high, low = divmod(c[0] * 0xD2E7470EE14C6C93, 2**64)
        high_2, low_2 = divmod(c[2] * 0xCA5A826395121157, 2**64)
        c = [high_2 ^ c[1] ^ k[0], low_2, high ^ c[3] ^ k[1], low]
        k = [(k[0] + 0x9E3779B97F4A7C15) % 2**64, (k[1] + 0xBB67AE8584CAA73B) % 2**64]
    return c


def test_the_reference_philox_gives_its_authors_test_vectors() -> None:
    # From the file kat_vectors of Random123, philox4x64 10.
    assert philox([0] * 4, [0] * 2) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]
    assert philox([2**64 - 1] * 4, [2**64 - 1] * 2) == [
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ]


@given(SEEDS, PURPOSES, INDICES, INDICES)
def test_raw_words_are_philox_under_the_keys(seed: int, purpose: str, replicate: int, index: int) -> None:
    word = int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")
    # NumPy increments the counter before each block.
    expected = [b for i in (1, 2, 3) for b in philox([i, 0, index, replicate], [seed, word])]
    assert streams.random_words(12, seed, purpose, replicate, index).tolist() == expected


def test_draws_are_those_recorded() -> None:
    # Recorded with NumPy 2.4.6 and SciPy 1.17.1; the words agree with the reference Philox above.
    assert streams.random_words(4, 0, "train/features").tolist() == [
        0x11961AF7BC3F1D48,
        0x2DAE5C9E45BC87D3,
        0x8FC1467B2DCA26E0,
        0xFCAF95D0DC6912A3,
    ]
    assert streams.random_words(3, 2**64 - 1, "order", 7, 3).tolist() == [
        0x049A61D09B07789A,
        0x319802CEC71F66B9,
        0x67B2C1E8A0F94FBD,
    ]
    assert [float(u).hex() for u in streams.uniforms(3, 0, "train/features")] == [
        "0x1.1961af7bc3f18p-4",
        "0x1.6d72e4f22de44p-3",
        "0x1.1f828cf65b945p-1",
    ]
    assert streams.normals(4, 0, "init") == pytest.approx(
        [-1.208869050078706, 1.1529481897651195, -0.3169752550743566, -0.13952747713847277], rel=1e-15
    )
    assert streams.permutation(10, 0, "order", 1, 2).tolist() == [3, 6, 9, 8, 4, 2, 0, 7, 5, 1]


@pytest.mark.parametrize("draw", [streams.random_words, streams.uniforms, streams.normals])
@given(st.integers(0, 50), st.integers(0, 50), SEEDS, PURPOSES, INDICES, INDICES)
def test_a_shorter_draw_is_a_prefix_of_a_longer_one(
    draw: Callable[..., np.ndarray], n: int, more: int, seed: int, purpose: str, replicate: int, index: int
) -> None:
    longer = draw(n + more, seed, purpose, replicate, index)
    assert draw(n, seed, purpose, replicate, index).tobytes() == longer[:n].tobytes()


def test_a_draw_does_not_depend_on_earlier_draws() -> None:
    first = streams.normals(100, 3, "init", 1)
    streams.normals(1000, 3, "init", 0)
    np.random.default_rng(3).normal(size=10)
    assert streams.normals(100, 3, "init", 1).tobytes() == first.tobytes()


KEYS = st.tuples(
    st.integers(0, 9), st.sampled_from(["train", "val", "init", ""]), st.integers(0, 9), INDICES
)


@given(KEYS, KEYS)
def test_different_keys_give_different_words(left: tuple, right: tuple) -> None:
    # A stream of one (replicate, index) has 2**128 blocks, so that it never overlaps the next.
    shared = set(streams.random_words(100, *left).tolist()) & set(
        streams.random_words(100, *right).tolist()
    )
    assert bool(shared) == (left == right)


@given(st.integers(0, 300), SEEDS, PURPOSES, INDICES, INDICES)
def test_a_permutation_holds_every_index_once(
    n: int, seed: int, purpose: str, replicate: int, index: int
) -> None:
    drawn = streams.permutation(n, seed, purpose, replicate, index)
    assert sorted(drawn.tolist()) == list(range(n))


def test_permutations_are_uniform() -> None:
    drawn = [tuple(streams.permutation(3, 0, "order", r).tolist()) for r in range(6000)]
    counts = [drawn.count(p) for p in set(drawn)]
    assert len(counts) == 6
    # Chi-squared on 5 degrees of freedom: 20.5 is its 99.9 % quantile.
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 20.5


@given(SEEDS, PURPOSES)
def test_uniforms_lie_inside_the_open_interval(seed: int, purpose: str) -> None:
    u = streams.uniforms(100, seed, purpose)
    assert (u > 0).all()
    assert (u < 1).all()


def test_uniforms_are_midpoints_of_cells() -> None:
    cells = [int(word) >> 12 for word in streams.random_words(100, 5, "train")]
    assert streams.uniforms(100, 5, "train").tolist() == [(2 * cell + 1) / 2**53 for cell in cells]


def test_normals_invert_the_distribution_function() -> None:
    standard = NormalDist()
    expected = [standard.inv_cdf(u) for u in streams.uniforms(1000, 0, "train")]
    assert streams.normals(1000, 0, "train") == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_normals_have_the_moments_of_the_normal_distribution() -> None:
    n = 100_000
    z = streams.normals(n, 1, "train")
    # Five standard errors: those of the mean of z**k are sqrt((E z**2k - (E z**k)**2) / n).
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((z**power).mean() - moment) < 5 * (variance / n) ** 0.5


def test_streams_are_uncorrelated() -> None:
    n = 10_000
    keys = [
        (0, "train", 0, 0),
        (0, "train", 1, 0),
        (0, "train", 0, 1),
        (0, "val", 0, 0),
        (1, "train", 0, 0),
    ]
    drawn = np.stack([streams.normals(n, *key) for key in keys])
    off_diagonal = np.corrcoef(drawn)[~np.eye(len(keys), dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / n**0.5
