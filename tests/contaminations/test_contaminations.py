"""Contaminations change exactly the rows that the mask marks, and affect fits as theory predicts."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtri

from regress.contaminations import (
    CONTAMINATIONS,
    AdaptiveVertical,
    BadLeverage,
    Clean,
    Cluster,
    Contamination,
    GoodLeverage,
    GrossError,
    HeavyTails,
    Single,
    Vertical,
)
from regress.estimators.optimum import converged_fit
from regress.losses import L1, L2, Huber, Loss
from regress.problems import Data, Linear, Ohm, Planck, Problem
from regress.problems.affine import Affine
from regress.study import Study
from regress.values.text import parse
from tests.helpers import between, equal, execute, prefix, refusal, some_data

BY_NAME: dict[str, Contamination] = {
    "clean": Clean(),
    "single": Single(row=3, value=100.0),
    "vertical": Vertical(0.3, 10.0),
    "adaptive-vertical": AdaptiveVertical(0.3, 10.0),
    "good-leverage": GoodLeverage(0.3, 7.0),
    "bad-leverage": BadLeverage(0.3, 7.0, -3.0),
    "cluster": Cluster(0.3, -5.0, 20.0, 0.5),
    "heavy-tails": HeavyTails(2.0, 0.5),
    "gross-error": GrossError(0.3, 10.0, 2.0),
}
BY_FRACTION: dict[str, Callable[[float], Contamination]] = {
    "vertical": lambda fraction: Vertical(fraction, 10.0),
    "adaptive-vertical": lambda fraction: AdaptiveVertical(fraction, 10.0),
    "good-leverage": lambda fraction: GoodLeverage(fraction, 7.0),
    "bad-leverage": lambda fraction: BadLeverage(fraction, 7.0, -3.0),
    "cluster": lambda fraction: Cluster(fraction, -5.0, 20.0, 0.5),
}
RANDOM = {name: make for name, make in BY_FRACTION.items() if name != "adaptive-vertical"}
SEEDS = st.integers(0, 2**64 - 1)
FRACTIONS = st.floats(0, 1, exclude_max=True)

each_contamination = pytest.mark.parametrize("contamination", BY_NAME.values(), ids=BY_NAME)
each_with_fraction = pytest.mark.parametrize("make", BY_FRACTION.values(), ids=BY_FRACTION)


def contaminate(contamination: Contamination, data: Data, seed: int = 0) -> Data:
    """Return `data` contaminated for an affine model."""
    return contamination.apply(data, Affine(data.train_x.shape[-1]), seed)


def changed_rows(data: Data, contaminated: Data) -> np.ndarray:
    """Return a mask (R, n) of the training rows that differ."""
    differs_in_x = (data.train_x != contaminated.train_x).any(axis=-1)
    return np.asarray(differs_in_x | (data.train_y != contaminated.train_y))


def one_replicate(x: list[list[float]], y: list[float], truth: list[float]) -> Data:
    """Return data of one replicate with the given rows."""
    rows, targets = np.array([x]), np.array([y])
    return Data(rows, targets, rows, targets, np.array([truth]), np.zeros(targets.shape, bool))


def test_all_registered_contaminations_are_tested() -> None:
    assert set(BY_NAME) == set(CONTAMINATIONS)
    assert {type(value) for value in BY_NAME.values()} == set(CONTAMINATIONS.values())
    with_count = {name for name, cls in CONTAMINATIONS.items() if hasattr(cls, "count")}
    assert set(BY_FRACTION) == with_count


# Properties of all contaminations


@each_contamination
@given(seed=SEEDS, rows=st.integers(4, 40), replicates=st.integers(1, 4))
def test_the_mask_marks_exactly_the_changed_rows(
    contamination: Contamination, seed: int, rows: int, replicates: int
) -> None:
    data = some_data(replicates, rows)
    after = contaminate(contamination, data, seed)
    np.testing.assert_array_equal(after.contaminated, changed_rows(data, after))


@each_contamination
def test_a_contamination_does_not_change_its_input(contamination: Contamination) -> None:
    data = some_data()
    contaminate(contamination, data)
    assert equal(data, some_data())


@each_contamination
def test_validation_rows_and_truth_are_never_contaminated(contamination: Contamination) -> None:
    data = some_data()
    after = contaminate(contamination, data)
    for name in ("val_x", "val_y", "truth"):
        np.testing.assert_array_equal(getattr(after, name), getattr(data, name))


@each_contamination
def test_rows_marked_before_stay_marked(contamination: Contamination) -> None:
    data = contaminate(Single(row=8, value=50.0), some_data())
    unmarked = replace(data, contaminated=np.zeros_like(data.contaminated))
    after, expected = contaminate(contamination, data), contaminate(contamination, unmarked)
    np.testing.assert_array_equal(after.contaminated, expected.contaminated | data.contaminated)
    np.testing.assert_array_equal(after.train_y, expected.train_y)


@each_contamination
@given(seed=SEEDS, start=st.integers(0, 2), more=st.integers(1, 3))
def test_a_replicate_does_not_depend_on_the_others(
    contamination: Contamination, seed: int, start: int, more: int
) -> None:
    data = some_data(3, 20)
    stop = min(start + more, 3)
    alone = contaminate(contamination, between(data, start, stop), seed)
    assert equal(alone, between(contaminate(contamination, data, seed), start, stop))


@pytest.mark.parametrize("problem", [Planck(), Planck(form="scaled"), Ohm(intercept=False)], ids=str)
def test_a_replicate_of_any_problem_does_not_depend_on_the_others(problem: Problem) -> None:
    clean, leverage = problem.draw(0, 4), GoodLeverage(0.1, 4e-6)
    contaminated = leverage.apply(clean, problem.model, 0)
    assert equal(leverage.apply(prefix(clean, 2), problem.model, 0), prefix(contaminated, 2))
    alone = leverage.apply(problem.draw(0, 1, first=3), problem.model, 0)
    assert equal(alone, between(contaminated, 3, 4))


@pytest.mark.parametrize("name", [*RANDOM, "heavy-tails", "gross-error"])
def test_replicates_and_seeds_have_different_draws(name: str) -> None:
    single = some_data(1, 50)
    x, y = np.repeat(single.train_x, 2, axis=0), np.repeat(single.train_y, 2, axis=0)
    assert single.truth is not None
    data = Data(x, y, x, y, np.repeat(single.truth, 2, axis=0), np.zeros(y.shape, bool))
    seed_0, seed_1 = contaminate(BY_NAME[name], data, 0), contaminate(BY_NAME[name], data, 1)
    assert (seed_0.train_y[0] != seed_0.train_y[1]).any()
    assert (seed_0.train_y != seed_1.train_y).any()


@each_with_fraction
@given(fraction=FRACTIONS, rows=st.integers(1, 300), seed=SEEDS)
def test_the_number_of_replaced_rows_is_the_floor_of_the_fraction(
    make: Callable[[float], Contamination], fraction: float, rows: int, seed: int
) -> None:
    data = some_data(2, rows, 1)
    after = contaminate(make(fraction), data, seed)
    count = math.floor(Fraction(Decimal(repr(fraction))) * rows)
    assert after.contaminated.sum(axis=1).tolist() == [count, count]
    np.testing.assert_array_equal(after.contaminated, changed_rows(data, after))


@pytest.mark.parametrize("rows", [3, 21, 100, 1000])
def test_a_fraction_is_decimal(rows: int) -> None:
    data = some_data(1, rows, 1)
    for percent in range(100):
        after = contaminate(Vertical(percent / 100, 10.0), data)
        assert after.contaminated.sum() == percent * rows // 100


@pytest.mark.parametrize(
    "make",
    [*BY_FRACTION.values(), lambda fraction: GrossError(fraction, 10.0, 2.0)],
    ids=[*BY_FRACTION, "gross-error"],
)
@given(first=FRACTIONS, second=FRACTIONS, seed=SEEDS)
def test_a_larger_fraction_replaces_a_superset_of_rows(
    make: Callable[[float], Contamination], first: float, second: float, seed: int
) -> None:
    data = some_data(2, 50)
    smaller, larger = (contaminate(make(fraction), data, seed) for fraction in sorted((first, second)))
    replaced = smaller.contaminated
    assert (larger.contaminated | ~replaced).all()
    np.testing.assert_array_equal(larger.train_x[replaced], smaller.train_x[replaced])
    np.testing.assert_array_equal(larger.train_y[replaced], smaller.train_y[replaced])


@given(fraction=FRACTIONS, seed=SEEDS)
def test_contaminations_of_equal_fractions_replace_the_same_random_rows(fraction: float, seed: int) -> None:
    data = some_data(2, 50)
    masks = [contaminate(make(fraction), data, seed).contaminated for make in RANDOM.values()]
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize("name", [*RANDOM, "gross-error"])
def test_all_rows_are_replaced_with_equal_probability(name: str) -> None:
    make = RANDOM.get(name, lambda fraction: GrossError(fraction, 1.0))
    mask = contaminate(make(0.25), some_data(2000, 8, 1)).contaminated
    # Five standard errors of a proportion of 1/4 in 2,000 draws.
    assert np.abs(mask.mean(axis=0) - 0.25).max() < 5 * (0.25 * 0.75 / 2000) ** 0.5


@each_with_fraction
@given(fraction=st.floats(1e-9, 1, exclude_max=True))
def test_rows_needed_is_the_smallest_number_with_an_outlier(
    make: Callable[[float], Any], fraction: float
) -> None:
    contamination = make(fraction)
    needed = contamination.rows_needed()
    assert contamination.count(needed) >= 1
    assert contamination.count(needed - 1) == 0


def test_rows_needed_agrees_with_numbers_computed_by_hand() -> None:
    assert Single(row=5).rows_needed() == 6
    assert Vertical(0.3, 1.0).rows_needed() == 4
    # 1 / .07 is 14.28...; a fraction of 0, where a breakdown curve starts, needs no outlier.
    assert Cluster(0.07, 1.0, 1.0, 1.0).rows_needed() == 15
    for contamination in (Clean(), Vertical(0.0, 1.0), HeavyTails(1.0), GrossError(0.001, 1.0)):
        assert contamination.rows_needed() == 1


# Properties of single contaminations


def test_clean_changes_nothing() -> None:
    data = some_data()
    after = contaminate(Clean(), data)
    assert not changed_rows(data, after).any()
    assert not after.contaminated.any()


@given(SEEDS, st.floats(-100, 100))
def test_vertical_adds_its_shift_to_targets_only(seed: int, shift: float) -> None:
    data = some_data()
    after = contaminate(Vertical(0.5, shift), data, seed)
    np.testing.assert_array_equal(after.train_x, data.train_x)
    np.testing.assert_array_equal(
        after.train_y, np.where(after.contaminated, data.train_y + shift, data.train_y)
    )


@given(SEEDS, st.integers(0, 11), st.floats(1, 1e6))
def test_single_scales_one_row_to_a_target_of_value(seed: int, row: int, value: float) -> None:
    data = some_data()
    after = contaminate(Single(row, value), data, seed)
    for r in range(data.replicates):
        np.testing.assert_allclose(
            after.train_x[r, row], data.train_x[r, row] * (value / data.train_y[r, row]), rtol=1e-15
        )
        assert after.train_y[r, row] == value
    others = np.arange(data.rows) != row
    np.testing.assert_array_equal(after.train_x[:, others], data.train_x[:, others])
    np.testing.assert_array_equal(after.train_y[:, others], data.train_y[:, others])


def test_single_agrees_with_the_notebook_s_outlier() -> None:
    x = np.arange(12.0).reshape(6, 2).tolist()
    after = contaminate(Single(), one_replicate(x, [1.0, 2.0, 3.0, 4.0, 5.0, -8.0], [0.0, 0.0, 0.0]))
    # x[5] = (10, 11) times 10000 / -8.
    assert after.train_x[0, 5].tolist() == [-12500.0, -13750.0]
    assert after.train_y[0, 5] == 10000.0
    assert np.flatnonzero(after.contaminated[0]).tolist() == [5]


def test_adaptive_outliers_agree_with_rows_computed_by_hand() -> None:
    # |3| and |-3| are a tie, resolved in stored order. sign(0) is 1.
    x = [[0.0, 9.0], [-1.0, 9.0], [2.0, 9.0], [3.0, 9.0], [-3.0, 9.0]]
    data = one_replicate(x, [1.0] * 5, [0.0, 0.0, 0.0])
    expected = {
        0.0: [1, 1, 1, 1, 1],
        0.2: [1, 1, 1, 11, 1],
        0.4: [1, 1, 1, 11, -9],
        0.6: [1, 1, 11, 11, -9],
        0.8: [1, -9, 11, 11, -9],
    }
    for fraction, y in expected.items():
        assert contaminate(AdaptiveVertical(fraction, 10.0), data).train_y[0].tolist() == y
    zeros = one_replicate([[0.0, 9.0]] * 2, [1.0] * 2, [0.0, 0.0, 0.0])
    assert contaminate(AdaptiveVertical(0.5, 10.0), zeros).train_y[0].tolist() == [11, 1]


def test_adaptive_outliers_resolve_ties_in_stored_order() -> None:
    tied = one_replicate([[2.0 - row % 3] for row in range(1000)], [0.0] * 1000, [0.0, 0.0])
    mask = contaminate(AdaptiveVertical(0.2, 10.0), tied).contaminated[0]
    assert np.flatnonzero(mask).tolist() == list(range(0, 600, 3))


def test_leverage_points_agree_with_rows_computed_by_hand() -> None:
    # y = 2 x1 - 3 x2 + 4 with noise 1 and -2; one of the two rows moves.
    data = one_replicate([[1.0, 1.0], [0.0, 2.0]], [4.0, -4.0], [2.0, -3.0, 4.0])
    for contamination, expected in ((GoodLeverage(0.5, 8.0), 20.0), (BadLeverage(0.5, 8.0, 50.0), 70.0)):
        after = contaminate(contamination, data)
        (row,) = np.flatnonzero(after.contaminated[0])
        assert after.train_x[0, row].tolist() == [8.0, 0.0]
        assert after.train_y[0, row] == expected + (1.0, -2.0)[row]


@pytest.mark.parametrize(
    ("problem", "scale"),
    [(Linear(noise=1.0), 100.0), (Ohm(intercept=False), 100.0), (Planck(form="scaled"), 4e-6)],
    ids=str,
)
def test_good_leverage_points_keep_the_noise_of_their_rows(problem: Problem, scale: float) -> None:
    clean = problem.draw(0, 3)
    assert clean.truth is not None
    after = GoodLeverage(0.2, scale).apply(clean, problem.model, 0)
    noise_before, noise_after = (
        data.train_y - problem.model.predict(data.train_x, clean.truth) for data in (clean, after)
    )
    np.testing.assert_allclose(noise_after, noise_before, rtol=0, atol=1e-12)
    bad = BadLeverage(0.2, scale, 3.0).apply(clean, problem.model, 0)
    np.testing.assert_array_equal(bad.train_x, after.train_x)
    np.testing.assert_allclose(bad.train_y, after.train_y + 3.0 * after.contaminated, rtol=1e-12)


def test_a_cluster_without_spread_is_a_point() -> None:
    after = contaminate(Cluster(0.5, -5.0, 20.0, 0.0), some_data(2, 12, 3))
    assert (after.train_x[after.contaminated] == [-5.0, 0.0, 0.0]).all()
    assert (after.train_y[after.contaminated] == 20.0).all()


def test_a_cluster_is_normal_about_its_centre() -> None:
    after = contaminate(Cluster(0.5, -5.0, 20.0, 0.5), some_data(1, 4000))
    mask = after.contaminated
    points = np.column_stack([after.train_x[mask], after.train_y[mask]])
    standard = (points - [-5.0, 0.0, 20.0]) / 0.5
    for coordinate in standard.T:
        assert stats.kstest(coordinate, "norm").pvalue > 0.01
    # Five standard errors of a correlation of 0 among 2,000 points.
    assert np.abs(np.corrcoef(standard.T) - np.eye(3)).max() < 5 / 2000**0.5


@pytest.mark.parametrize("df", [0.5, 1.0, 2.0, 3.0, 30.0])
def test_heavy_tails_have_student_s_distribution(df: float) -> None:
    data = some_data(2, 4000)
    after = contaminate(HeavyTails(df, 3.0), data)
    np.testing.assert_array_equal(after.train_x, data.train_x)
    noise = (after.train_y - data.train_y) / 3.0
    for replicate in noise:
        assert stats.kstest(replicate, stats.t(df).cdf).pvalue > 0.01
    # Noise beyond the .99 quantile in both replicates, within five standard errors.
    assert abs((noise > stats.t(df).ppf(0.99)).mean() - 0.01) < 5 * (0.01 * 0.99 / 8000) ** 0.5


@pytest.mark.parametrize("df", [0.1, 1e10, 1e300])
def test_heavy_tails_are_finite_for_extreme_df(df: float) -> None:
    data = some_data(1, 4000)
    after = contaminate(HeavyTails(df), data)
    assert np.isfinite(after.train_y).all()
    assert stats.kstest((after.train_y - data.train_y)[0], stats.t(min(df, 1e6)).cdf).pvalue > 0.01


def test_the_number_of_gross_errors_is_binomial() -> None:
    counts = contaminate(GrossError(0.3, 1.0), some_data(4000, 20, 1)).contaminated.sum(axis=1)
    expected = 4000 * stats.binom(20, 0.3).pmf(np.arange(21))
    observed = np.bincount(counts, minlength=21)
    frequent = expected > 5
    assert (
        stats.chisquare(
            observed[frequent], expected[frequent] * observed[frequent].sum() / expected[frequent].sum()
        ).pvalue
        > 0.01
    )
    # Five standard errors of a mean of 6 and of a variance of 4.2.
    assert abs(counts.mean() - 6) < 5 * (4.2 / 4000) ** 0.5
    assert abs(counts.var() - 4.2) < 5 * 4.2 * (2 / 4000) ** 0.5


def test_gross_errors_do_not_depend_on_later_rows() -> None:
    longer, error = some_data(2, 50, 1), GrossError(0.3, 1.0, 2.0)
    shorter = Data(
        longer.train_x[:, :20],
        longer.train_y[:, :20],
        longer.val_x,
        longer.val_y,
        longer.truth,
        longer.contaminated[:, :20],
    )
    np.testing.assert_array_equal(
        contaminate(error, shorter).train_y, contaminate(error, longer).train_y[:, :20]
    )


def test_gross_errors_are_normal_about_their_shift() -> None:
    data = some_data(1, 8000)
    after = contaminate(GrossError(0.3, 10.0, 2.0), data)
    error = (after.train_y - data.train_y)[after.contaminated]
    assert stats.kstest((error - 10.0) / 2.0, "norm").pvalue > 0.01
    vertical = contaminate(GrossError(0.3, 10.0), data)
    np.testing.assert_array_equal(vertical.contaminated, after.contaminated)
    np.testing.assert_array_equal(
        vertical.train_y, np.where(vertical.contaminated, data.train_y + 10.0, data.train_y)
    )


def test_the_draws_agree_with_recorded_values() -> None:
    # Other random streams would change the rows of recorded studies.
    zeros = np.zeros((2, 40))
    data = Data(zeros[..., None], zeros, zeros[..., None], zeros, np.zeros((2, 2)), zeros > 0)
    vertical = contaminate(Vertical(0.1, 10.0), data).contaminated
    assert [np.flatnonzero(mask).tolist() for mask in vertical] == [[4, 18, 22, 28], [4, 10, 13, 28]]
    gross = contaminate(GrossError(0.1, 0.0, 1.0), data)
    gross_rows = [[3, 16, 24, 26, 33, 34], [8, 11, 22, 33]]
    assert [np.flatnonzero(mask).tolist() for mask in gross.contaminated] == gross_rows
    assert gross.train_y[0, [3, 16]] == pytest.approx([0.5137351127040757, 0.014700602594849016])
    heavy = contaminate(HeavyTails(1.0), data).train_y
    assert heavy[:, 0] == pytest.approx([-1.0434205531649745, 2.2968111663661026])
    cluster = contaminate(Cluster(0.1, 0.0, 0.0, 1.0), data)
    assert cluster.train_x[0, [4, 18], 0] == pytest.approx([0.2509519656851987, 0.5012179523155856])
    assert cluster.train_y[0, [4, 18]] == pytest.approx([0.7487060111247856, -0.3483925154761401])


# Effect on converged fits


@pytest.fixture(scope="module")
def noisy() -> Data:
    """Return three replicates of 200 rows, y = 2 x1 - 3.4 x2 + 4.2 + N(0, 1)."""
    return Linear(noise=1.0, rows=200, val=1).draw(0, 3)


ROBUST = [L1(), Huber(1.345)]


def errors(loss: Loss, data: Data) -> np.ndarray:
    """Return the distances (R,) of the converged fits from the truth."""
    assert data.truth is not None
    rows = zip(data.train_x, data.train_y, strict=True)
    return np.linalg.norm(np.stack([converged_fit(loss, x, y) for x, y in rows]) - data.truth, axis=1)


@pytest.mark.parametrize("loss", ROBUST, ids=str)
@pytest.mark.parametrize(
    "contamination",
    [
        BadLeverage(0.1, 1e3, 1e4),
        Cluster(0.1, 1e3, 1e4, 1.0),
        # The breakdown point is 1/n: one row of 200 is enough.
        BadLeverage(0.005, 1e6, 1e7),
        Cluster(0.005, 1e6, 1e7, 0.0),
        Single(),
    ],
    ids=str,
)
def test_bad_leverage_biases_bounded_losses_as_much_as_squared_loss(
    noisy: Data, loss: Loss, contamination: Contamination
) -> None:
    after = contaminate(contamination, noisy)
    far = errors(loss, after)
    assert (far > 1).all()
    np.testing.assert_allclose(far, errors(L2(), after), rtol=0.03)


@pytest.mark.parametrize("loss", ROBUST, ids=str)
@pytest.mark.parametrize(
    "contamination",
    [Vertical(0.1, 1e4), GrossError(0.1, 1e4), GrossError(0.1, 0.0, 1e4), AdaptiveVertical(0.1, 1e4)],
    ids=str,
)
def test_bounded_losses_resist_vertical_outliers(
    noisy: Data, loss: Loss, contamination: Contamination
) -> None:
    after = contaminate(contamination, noisy)
    assert errors(loss, after).max() < 1
    assert errors(L2(), after).min() > 100


@pytest.mark.parametrize("loss", ROBUST, ids=str)
def test_adaptive_outliers_bias_fits_more_than_random_outliers(noisy: Data, loss: Loss) -> None:
    random, adaptive = Vertical(0.1, 1e4), AdaptiveVertical(0.1, 1e4)
    assert (
        errors(loss, contaminate(adaptive, noisy)) > 1.5 * errors(loss, contaminate(random, noisy))
    ).all()


@pytest.mark.parametrize("loss", [L2(), *ROBUST], ids=str)
def test_good_leverage_does_not_bias_fits(noisy: Data, loss: Loss) -> None:
    after = contaminate(GoodLeverage(0.1, 1e3), noisy)
    assert errors(loss, after).max() < 0.3
    fits = [converged_fit(loss, x, y) for x, y in zip(after.train_x, after.train_y, strict=True)]
    # The standard error of the first slope is about noise / (1,000 sqrt(20)): 20 points at x = 1,000.
    np.testing.assert_allclose(np.stack(fits)[:, 0], 2.0, atol=2e-3)


@pytest.mark.parametrize("loss", ROBUST, ids=str)
@pytest.mark.parametrize("df", [1.0, 2.0])
def test_bounded_losses_resist_heavy_tails(noisy: Data, loss: Loss, df: float) -> None:
    after = contaminate(HeavyTails(df), noisy)
    assert np.median(errors(loss, after)) < 0.5 * np.median(errors(L2(), after))


def asymptotic_bias(loss: Loss, fraction: float) -> float:
    """Return the bias of the intercept for outliers at infinity, in standard deviations of the noise."""
    if isinstance(loss, L1):
        return float(ndtri(1 / (2 * (1 - fraction))))
    assert isinstance(loss, Huber)
    delta = loss.delta

    def mean_psi(bias: float) -> float:
        def density(z: float) -> float:
            return float(np.clip(z - bias, -delta, delta) * stats.norm.pdf(z))

        return float(
            (1 - fraction) * quad(density, -9, 9, points=[bias - delta, bias + delta])[0] + fraction * delta
        )

    return float(brentq(mean_psi, 0, 5))


# Roots of the asymptotic estimating equation; for L1 and a fraction of .1 a simulation gave .142 +- .011.
@pytest.mark.parametrize(
    ("loss", "fraction", "bias"),
    [
        (L1(), 0.1, 0.140),
        (L1(), 0.2, 0.319),
        (L1(), 0.3, 0.566),
        (Huber(1.345), 0.1, 0.182),
        (Huber(1.345), 0.2, 0.416),
        (Huber(1.345), 0.3, 0.736),
    ],
    ids=str,
)
def test_one_sided_outliers_bias_the_intercept_as_theory_predicts(
    loss: Loss, fraction: float, bias: float
) -> None:
    assert asymptotic_bias(loss, fraction) == pytest.approx(bias, abs=6e-4)
    problem = Linear(noise=1.0, rows=600, val=1)
    after = contaminate(Vertical(fraction, 1e4), problem.draw(0, 16))
    rows = zip(after.train_x, after.train_y, strict=True)
    intercepts = np.array([converged_fit(loss, x, y)[-1] for x, y in rows]) - problem.b
    standard_error = intercepts.std(ddof=1) / 4
    assert standard_error < 0.03
    assert abs(intercepts.mean() - bias) < 3 * standard_error


# Contaminations in a study


def study_refusal(line: str, problem: str) -> str:
    """Return the error sentence for a study with a contamination."""
    fields = {"name": "some", "problem": problem, "contaminations": [line], "batch_sizes": [4]}
    return refusal(lambda: Study(**fields | {"sigmas": [3000]}))


@pytest.mark.parametrize(
    ("line", "problem", "sentence"),
    [
        ("vertical(fraction=.01, shift=1)", "linear(rows=40)", "needs 100 training rows, there are 40"),
        ("cluster(fraction=.05, x=1, y=1, spread=1)", "table(dataset=stackloss)", "needs 20 training rows"),
        ("good-leverage(fraction=.5, scale=9)", "table(dataset=engel)", "needs the generating parameters"),
        ("bad-leverage(fraction=.5, scale=9, shift=9)", "table(dataset=engel)", "use cluster("),
        ("cluster(fraction=.1, x=1, y=1, spread=1)", "planck", "those of planck cannot be"),
        ("single(value=-1)", "planck", "may make a feature negative"),
    ],
)
def test_a_contamination_that_is_impossible_for_a_problem_is_refused(
    line: str, problem: str, sentence: str
) -> None:
    message = study_refusal(line, problem)
    assert message.startswith("contaminations: ")
    assert sentence in message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("vertical(fraction=0, shift=1)", "linear(rows=40)"),
        ("vertical(fraction=.1, shift=1)", "linear(rows=10)"),
        ("gross-error(fraction=.01, shift=1)", "linear(rows=10)"),
        ("cluster(fraction=.1, x=1, y=1, spread=1)", "table(dataset=engel)"),
        ("good-leverage(fraction=.1, scale=4e-6)", "planck"),
        ("adaptive-vertical(fraction=.1, shift=1)", "planck"),
        ("single", "planck"),
    ],
)
def test_a_contamination_that_is_possible_for_a_problem_is_accepted(line: str, problem: str) -> None:
    fields = {"name": "some", "problem": problem, "contaminations": [line], "batch_sizes": [4]}
    assert len(Study(**fields | {"sigmas": [3000]}).contaminations) == 1


@pytest.mark.parametrize(
    ("line", "where"),
    [
        *((f"{name}(fraction=1.0)", f"{name}(fraction)") for name in [*BY_FRACTION, "gross-error"]),
        *((f"{name}(fraction=-0.1)", f"{name}(fraction)") for name in [*BY_FRACTION, "gross-error"]),
        ("good-leverage(fraction=.1, scale=0)", "good-leverage(scale)"),
        ("bad-leverage(fraction=.1, scale=-1, shift=1)", "bad-leverage(scale)"),
        ("bad-leverage(fraction=.1, scale=1, shift=1e999)", "bad-leverage(shift)"),
        ("cluster(fraction=.1, x=1, y=1, spread=-1)", "cluster(spread)"),
        ("cluster(fraction=.1, x=1e999, y=1, spread=1)", "cluster(x)"),
        ("heavy-tails(df=0.09)", "heavy-tails(df)"),
        ("heavy-tails(df=-1)", "heavy-tails(df)"),
        ("heavy-tails(df=1e999)", "heavy-tails(df)"),
        ("heavy-tails(df=1, scale=-1)", "heavy-tails(scale)"),
        ("gross-error(fraction=.1, shift=1, spread=-1)", "gross-error(spread)"),
    ],
)
def test_an_error_names_the_invalid_argument(line: str, where: str) -> None:
    assert where in refusal(parse, line, "contaminations", CONTAMINATIONS)


def test_every_contamination_works_in_a_study() -> None:
    lines = [str(contamination) for contamination in BY_NAME.values()]
    fields = {"name": "some", "problem": "linear(rows=40, val=10)", "epochs": 2, "replicates": 2}
    study = Study(**fields | {"batch_sizes": [8], "contaminations": lines})
    rows = {shard.rows.name: shard.rows for shard in execute(study)}
    assert len({shard_rows.digest for shard_rows in rows.values()}) == len(BY_NAME)
    clean = study.problem.draw(study.seed, study.replicates)
    for contamination in BY_NAME.values():
        mask = contamination.apply(clean, study.problem.model, study.seed).contaminated
        assert rows[f"{study.problem} {contamination}"].contaminated == mask[0].sum()


def test_the_documentation_lists_all_registered_contaminations() -> None:
    text = (Path(__file__).parents[2] / "docs" / "contaminations.md").read_text()
    lines = re.findall(r"^\| `([^`]+)` \|", text.split("## What survives")[0], re.MULTILINE)
    values = [parse(line, "contaminations", CONTAMINATIONS) for line in lines]
    assert [str(value) for value in values] == lines
    assert [type(value) for value in values] == list(CONTAMINATIONS.values())
