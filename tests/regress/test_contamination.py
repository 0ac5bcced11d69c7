"""Contaminations: exactly the promised rows change, and the mask says which."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.contamination import CONTAMINATIONS, Clean, Contamination, Single, Vertical
from regress.problems import Data
from tests.regress.helpers import between, equal, prefix, some_data

EVERY = (Clean(), Single(row=3, value=100.0), Vertical(0.3, 10.0))
SEEDS = st.integers(0, 2**64 - 1)


def changed(data: Data, contaminated: Data) -> np.ndarray:
    """Which training rows are other rows now (R, n)."""
    other_x = (data.train_x != contaminated.train_x).any(axis=-1)
    return np.asarray(other_x | (data.train_y != contaminated.train_y))


def test_every_contamination_is_tried_here() -> None:
    assert {type(contamination) for contamination in EVERY} == set(CONTAMINATIONS.values())


@pytest.mark.parametrize("contamination", EVERY, ids=str)
@given(seed=SEEDS, rows=st.integers(4, 40), replicates=st.integers(1, 4))
def test_the_mask_marks_exactly_the_changed_rows(
    contamination: Contamination, seed: int, rows: int, replicates: int
) -> None:
    data = some_data(replicates, rows)
    after = contamination.apply(data, seed)
    np.testing.assert_array_equal(after.contaminated, changed(data, after))


@pytest.mark.parametrize("contamination", EVERY, ids=str)
def test_the_clean_data_is_left_as_it_was(contamination: Contamination) -> None:
    data = some_data()
    contamination.apply(data, 0)
    assert equal(data, some_data())


@pytest.mark.parametrize("contamination", EVERY, ids=str)
def test_validation_rows_and_truth_are_never_contaminated(contamination: Contamination) -> None:
    data = some_data()
    after = contamination.apply(data, 0)
    for name in ("val_x", "val_y", "truth"):
        np.testing.assert_array_equal(getattr(after, name), getattr(data, name))


@pytest.mark.parametrize("contamination", EVERY, ids=str)
@given(seed=SEEDS, replicates=st.integers(1, 3))
def test_a_replicate_does_not_depend_on_how_many_there_are(
    contamination: Contamination, seed: int, replicates: int
) -> None:
    data = some_data(3, 20)
    every = contamination.apply(data, seed)
    assert equal(contamination.apply(prefix(data, replicates), seed), prefix(every, replicates))


def test_outliers_are_drawn_by_the_index_of_a_replicate() -> None:
    data = some_data(3, 50)
    vertical = Vertical(0.2, 1.0)
    assert equal(vertical.apply(between(data, 2, 3), 0), between(vertical.apply(data, 0), 2, 3))


def test_clean_changes_nothing() -> None:
    data = some_data()
    after = Clean().apply(data, 0)
    assert not changed(data, after).any()
    assert not after.contaminated.any()


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 300), SEEDS)
def test_vertical_shifts_the_floor_of_its_share(fraction: float, rows: int, seed: int) -> None:
    data = some_data(2, rows, 1)
    after = Vertical(fraction, 10.0).apply(data, seed)
    count = math.floor(Fraction(Decimal(repr(fraction))) * rows)
    assert after.contaminated.sum(axis=1).tolist() == [count, count]


@pytest.mark.parametrize("rows", [3, 21, 100, 1000])
def test_vertical_takes_its_share_as_it_is_written(rows: int) -> None:
    data = some_data(1, rows, 1)
    for percent in range(100):
        after = Vertical(percent / 100, 10.0).apply(data, 0)
        assert after.contaminated.sum() == percent * rows // 100


@given(SEEDS, st.floats(-100, 100))
def test_vertical_adds_its_shift_to_the_target_alone(seed: int, shift: float) -> None:
    data = some_data()
    after = Vertical(0.5, shift).apply(data, seed)
    np.testing.assert_array_equal(after.train_x, data.train_x)
    np.testing.assert_array_equal(
        after.train_y, np.where(after.contaminated, data.train_y + shift, data.train_y)
    )


@given(st.floats(0, 0.99), st.floats(0, 0.99), SEEDS)
def test_a_larger_share_keeps_the_rows_of_a_smaller(one: float, other: float, seed: int) -> None:
    data = some_data(2, 50)
    smaller = Vertical(min(one, other), 1.0).apply(data, seed).contaminated
    larger = Vertical(max(one, other), -7.0).apply(data, seed).contaminated
    assert (larger | ~smaller).all()


def test_replicates_and_seeds_have_other_outliers() -> None:
    data = some_data(2, 50)
    mask = Vertical(0.2, 1.0).apply(data, 0).contaminated
    assert (mask[0] != mask[1]).any()
    assert (mask != Vertical(0.2, 1.0).apply(data, 1).contaminated).any()


def test_vertical_takes_any_row_alike() -> None:
    mask = Vertical(0.25, 1.0).apply(some_data(2000, 8, 1), 0).contaminated
    # Five standard errors of a share of 1/4 in 2,000 draws.
    assert np.abs(mask.mean(axis=0) - 0.25).max() < 5 * (0.25 * 0.75 / 2000) ** 0.5


@given(SEEDS, st.integers(0, 11), st.floats(1, 1e6))
def test_single_makes_one_far_leverage_point(seed: int, row: int, value: float) -> None:
    data = some_data()
    after = Single(row, value).apply(data, seed)
    for r in range(data.replicates):
        np.testing.assert_allclose(
            after.train_x[r, row], data.train_x[r, row] * (value / data.train_y[r, row]), rtol=1e-15
        )
        assert after.train_y[r, row] == value
    others = np.arange(data.rows) != row
    np.testing.assert_array_equal(after.train_x[:, others], data.train_x[:, others])
    np.testing.assert_array_equal(after.train_y[:, others], data.train_y[:, others])


def test_the_notebook_s_outlier_by_hand() -> None:
    x = np.arange(12.0).reshape(1, 6, 2)
    y = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, -8.0]])
    data = Data(x, y, x, y, None, np.zeros((1, 6), bool))
    after = Single().apply(data, 0)
    # x[5] = (10, 11) times 10000 / -8.
    assert after.train_x[0, 5].tolist() == [-12500.0, -13750.0]
    assert after.train_y[0, 5] == 10000.0
    assert np.flatnonzero(after.contaminated[0]).tolist() == [5]


def test_rows_needed_is_the_least_that_there_must_be() -> None:
    assert Single(row=5).rows_needed() == 6
    assert Vertical(0.5, 1.0).rows_needed() == Clean().rows_needed() == 1
