"""Contaminations: exactly the promised rows change, and the mask says which."""

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

EVERY: dict[str, Contamination] = {
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
SHARED: dict[str, Callable[[float], Contamination]] = {
    "vertical": lambda fraction: Vertical(fraction, 10.0),
    "adaptive-vertical": lambda fraction: AdaptiveVertical(fraction, 10.0),
    "good-leverage": lambda fraction: GoodLeverage(fraction, 7.0),
    "bad-leverage": lambda fraction: BadLeverage(fraction, 7.0, -3.0),
    "cluster": lambda fraction: Cluster(fraction, -5.0, 20.0, 0.5),
}
RANDOM = {name: make for name, make in SHARED.items() if name != "adaptive-vertical"}
SEEDS = st.integers(0, 2**64 - 1)
FRACTIONS = st.floats(0, 1, exclude_max=True)

each = pytest.mark.parametrize("contamination", EVERY.values(), ids=EVERY)
each_shared = pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)


def applied(contamination: Contamination, data: Data, seed: int = 0) -> Data:
    """What `contamination` makes of rows that an affine model fits."""
    return contamination.apply(data, Affine(data.train_x.shape[-1]), seed)


def changed(data: Data, contaminated: Data) -> np.ndarray:
    """Which training rows are other rows now (R, n)."""
    other_x = (data.train_x != contaminated.train_x).any(axis=-1)
    return np.asarray(other_x | (data.train_y != contaminated.train_y))


def by_hand(x: list[list[float]], y: list[float], truth: list[float]) -> Data:
    """One replicate of rows written down."""
    rows, targets = np.array([x]), np.array([y])
    return Data(rows, targets, rows, targets, np.array([truth]), np.zeros(targets.shape, bool))


def test_every_contamination_is_tried_here() -> None:
    assert set(EVERY) == set(CONTAMINATIONS)
    assert {type(value) for value in EVERY.values()} == set(CONTAMINATIONS.values())
    with_count = {name for name, cls in CONTAMINATIONS.items() if hasattr(cls, "count")}
    assert set(SHARED) == with_count


# Laws


@each
@given(seed=SEEDS, rows=st.integers(4, 40), replicates=st.integers(1, 4))
def test_the_mask_marks_exactly_the_changed_rows(
    contamination: Contamination, seed: int, rows: int, replicates: int
) -> None:
    data = some_data(replicates, rows)
    after = applied(contamination, data, seed)
    np.testing.assert_array_equal(after.contaminated, changed(data, after))


@each
def test_the_clean_data_is_left_as_it_was(contamination: Contamination) -> None:
    data = some_data()
    applied(contamination, data)
    assert equal(data, some_data())


@each
def test_validation_rows_and_truth_are_never_contaminated(contamination: Contamination) -> None:
    data = some_data()
    after = applied(contamination, data)
    for name in ("val_x", "val_y", "truth"):
        np.testing.assert_array_equal(getattr(after, name), getattr(data, name))


@each
def test_rows_marked_before_stay_marked(contamination: Contamination) -> None:
    data = applied(Single(row=8, value=50.0), some_data())
    unmarked = replace(data, contaminated=np.zeros_like(data.contaminated))
    after, own = applied(contamination, data), applied(contamination, unmarked)
    np.testing.assert_array_equal(after.contaminated, own.contaminated | data.contaminated)
    np.testing.assert_array_equal(after.train_y, own.train_y)


@each
@given(seed=SEEDS, start=st.integers(0, 2), more=st.integers(1, 3))
def test_a_replicate_does_not_depend_on_the_others(
    contamination: Contamination, seed: int, start: int, more: int
) -> None:
    data = some_data(3, 20)
    stop = min(start + more, 3)
    alone = applied(contamination, between(data, start, stop), seed)
    assert equal(alone, between(applied(contamination, data, seed), start, stop))


@pytest.mark.parametrize("problem", [Planck(), Planck(form="scaled"), Ohm(intercept=False)], ids=str)
def test_a_replicate_of_any_problem_does_not_depend_on_the_others(problem: Problem) -> None:
    clean, leverage = problem.draw(0, 4), GoodLeverage(0.1, 4e-6)
    every = leverage.apply(clean, problem.model, 0)
    assert equal(leverage.apply(prefix(clean, 2), problem.model, 0), prefix(every, 2))
    alone = leverage.apply(problem.draw(0, 1, first=3), problem.model, 0)
    assert equal(alone, between(every, 3, 4))


@pytest.mark.parametrize("name", [*RANDOM, "heavy-tails", "gross-error"])
def test_replicates_and_seeds_have_draws_of_their_own(name: str) -> None:
    some = some_data(1, 50)
    x, y = np.repeat(some.train_x, 2, axis=0), np.repeat(some.train_y, 2, axis=0)
    assert some.truth is not None
    data = Data(x, y, x, y, np.repeat(some.truth, 2, axis=0), np.zeros(y.shape, bool))
    one, other = applied(EVERY[name], data, 0), applied(EVERY[name], data, 1)
    assert (one.train_y[0] != one.train_y[1]).any()
    assert (one.train_y != other.train_y).any()


@each_shared
@given(fraction=FRACTIONS, rows=st.integers(1, 300), seed=SEEDS)
def test_exactly_the_floor_of_the_share_is_replaced(
    make: Callable[[float], Contamination], fraction: float, rows: int, seed: int
) -> None:
    data = some_data(2, rows, 1)
    after = applied(make(fraction), data, seed)
    count = math.floor(Fraction(Decimal(repr(fraction))) * rows)
    assert after.contaminated.sum(axis=1).tolist() == [count, count]
    np.testing.assert_array_equal(after.contaminated, changed(data, after))


@pytest.mark.parametrize("rows", [3, 21, 100, 1000])
def test_a_share_is_taken_as_it_is_written(rows: int) -> None:
    data = some_data(1, rows, 1)
    for percent in range(100):
        after = applied(Vertical(percent / 100, 10.0), data)
        assert after.contaminated.sum() == percent * rows // 100


@pytest.mark.parametrize(
    "make",
    [*SHARED.values(), lambda fraction: GrossError(fraction, 10.0, 2.0)],
    ids=[*SHARED, "gross-error"],
)
@given(one=FRACTIONS, other=FRACTIONS, seed=SEEDS)
def test_a_larger_share_keeps_the_rows_of_a_smaller(
    make: Callable[[float], Contamination], one: float, other: float, seed: int
) -> None:
    data = some_data(2, 50)
    smaller, larger = (applied(make(share), data, seed) for share in sorted((one, other)))
    kept = smaller.contaminated
    assert (larger.contaminated | ~kept).all()
    np.testing.assert_array_equal(larger.train_x[kept], smaller.train_x[kept])
    np.testing.assert_array_equal(larger.train_y[kept], smaller.train_y[kept])


@given(fraction=FRACTIONS, seed=SEEDS)
def test_contaminations_of_one_share_hit_the_same_random_rows(fraction: float, seed: int) -> None:
    data = some_data(2, 50)
    masks = [applied(make(fraction), data, seed).contaminated for make in RANDOM.values()]
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize("name", [*RANDOM, "gross-error"])
def test_any_row_is_hit_alike(name: str) -> None:
    make = RANDOM.get(name, lambda fraction: GrossError(fraction, 1.0))
    mask = applied(make(0.25), some_data(2000, 8, 1)).contaminated
    # Five standard errors of a share of 1/4 in 2,000 draws.
    assert np.abs(mask.mean(axis=0) - 0.25).max() < 5 * (0.25 * 0.75 / 2000) ** 0.5


@each_shared
@given(fraction=st.floats(1e-9, 1, exclude_max=True))
def test_a_share_needs_as_many_rows_as_one_outlier_does(
    make: Callable[[float], Any], fraction: float
) -> None:
    contamination = make(fraction)
    needed = contamination.rows_needed()
    assert contamination.count(needed) >= 1
    assert contamination.count(needed - 1) == 0


def test_rows_needed_is_the_least_that_there_must_be() -> None:
    assert Single(row=5).rows_needed() == 6
    assert Vertical(0.3, 1.0).rows_needed() == 4
    # 1 / .07 is 14.28...; a share of nothing is no contamination, where a breakdown curve starts.
    assert Cluster(0.07, 1.0, 1.0, 1.0).rows_needed() == 15
    for needs_one in (Clean(), Vertical(0.0, 1.0), HeavyTails(1.0), GrossError(0.001, 1.0)):
        assert needs_one.rows_needed() == 1


# Each on its own


def test_clean_changes_nothing() -> None:
    data = some_data()
    after = applied(Clean(), data)
    assert not changed(data, after).any()
    assert not after.contaminated.any()


@given(SEEDS, st.floats(-100, 100))
def test_vertical_adds_its_shift_to_the_target_alone(seed: int, shift: float) -> None:
    data = some_data()
    after = applied(Vertical(0.5, shift), data, seed)
    np.testing.assert_array_equal(after.train_x, data.train_x)
    np.testing.assert_array_equal(
        after.train_y, np.where(after.contaminated, data.train_y + shift, data.train_y)
    )


@given(SEEDS, st.integers(0, 11), st.floats(1, 1e6))
def test_single_makes_one_far_leverage_point(seed: int, row: int, value: float) -> None:
    data = some_data()
    after = applied(Single(row, value), data, seed)
    for r in range(data.replicates):
        np.testing.assert_allclose(
            after.train_x[r, row], data.train_x[r, row] * (value / data.train_y[r, row]), rtol=1e-15
        )
        assert after.train_y[r, row] == value
    others = np.arange(data.rows) != row
    np.testing.assert_array_equal(after.train_x[:, others], data.train_x[:, others])
    np.testing.assert_array_equal(after.train_y[:, others], data.train_y[:, others])


def test_the_notebook_s_outlier_by_hand() -> None:
    x = np.arange(12.0).reshape(6, 2).tolist()
    after = applied(Single(), by_hand(x, [1.0, 2.0, 3.0, 4.0, 5.0, -8.0], [0.0, 0.0, 0.0]))
    # x[5] = (10, 11) times 10000 / -8.
    assert after.train_x[0, 5].tolist() == [-12500.0, -13750.0]
    assert after.train_y[0, 5] == 10000.0
    assert np.flatnonzero(after.contaminated[0]).tolist() == [5]


def test_adaptive_outliers_by_hand() -> None:
    # First features 3 and -3 are alike: the one stored first is taken first. 0 counts as positive.
    x = [[0.0, 9.0], [-1.0, 9.0], [2.0, 9.0], [3.0, 9.0], [-3.0, 9.0]]
    data = by_hand(x, [1.0] * 5, [0.0, 0.0, 0.0])
    expected = {
        0.0: [1, 1, 1, 1, 1],
        0.2: [1, 1, 1, 11, 1],
        0.4: [1, 1, 1, 11, -9],
        0.6: [1, 1, 11, 11, -9],
        0.8: [1, -9, 11, 11, -9],
    }
    for fraction, y in expected.items():
        assert applied(AdaptiveVertical(fraction, 10.0), data).train_y[0].tolist() == y
    nowhere = by_hand([[0.0, 9.0]] * 2, [1.0] * 2, [0.0, 0.0, 0.0])
    assert applied(AdaptiveVertical(0.5, 10.0), nowhere).train_y[0].tolist() == [11, 1]


def test_of_rows_alike_the_first_as_stored_are_hit() -> None:
    alike = by_hand([[2.0 - row % 3] for row in range(1000)], [0.0] * 1000, [0.0, 0.0])
    mask = applied(AdaptiveVertical(0.2, 10.0), alike).contaminated[0]
    assert np.flatnonzero(mask).tolist() == list(range(0, 600, 3))


def test_leverage_points_by_hand() -> None:
    # y = 2 x1 - 3 x2 + 4, and noise 1 and -2; both rows but one move, whichever they are.
    data = by_hand([[1.0, 1.0], [0.0, 2.0]], [4.0, -4.0], [2.0, -3.0, 4.0])
    for contamination, on_model in ((GoodLeverage(0.5, 8.0), 20.0), (BadLeverage(0.5, 8.0, 50.0), 70.0)):
        after = applied(contamination, data)
        (row,) = np.flatnonzero(after.contaminated[0])
        assert after.train_x[0, row].tolist() == [8.0, 0.0]
        assert after.train_y[0, row] == on_model + (1.0, -2.0)[row]


@pytest.mark.parametrize(
    ("problem", "scale"),
    [(Linear(noise=1.0), 100.0), (Ohm(intercept=False), 100.0), (Planck(form="scaled"), 4e-6)],
    ids=str,
)
def test_good_leverage_points_keep_their_own_noise(problem: Problem, scale: float) -> None:
    clean = problem.draw(0, 3)
    assert clean.truth is not None
    after = GoodLeverage(0.2, scale).apply(clean, problem.model, 0)
    before, now = (
        data.train_y - problem.model.predict(data.train_x, clean.truth) for data in (clean, after)
    )
    np.testing.assert_allclose(now, before, rtol=0, atol=1e-12)
    off = BadLeverage(0.2, scale, 3.0).apply(clean, problem.model, 0)
    np.testing.assert_array_equal(off.train_x, after.train_x)
    np.testing.assert_allclose(off.train_y, after.train_y + 3.0 * after.contaminated, rtol=1e-12)


def test_a_cluster_without_spread_is_a_point() -> None:
    after = applied(Cluster(0.5, -5.0, 20.0, 0.0), some_data(2, 12, 3))
    assert (after.train_x[after.contaminated] == [-5.0, 0.0, 0.0]).all()
    assert (after.train_y[after.contaminated] == 20.0).all()


def test_a_cluster_is_normal_about_its_centre() -> None:
    after = applied(Cluster(0.5, -5.0, 20.0, 0.5), some_data(1, 4000))
    mask = after.contaminated
    points = np.column_stack([after.train_x[mask], after.train_y[mask]])
    standard = (points - [-5.0, 0.0, 20.0]) / 0.5
    for coordinate in standard.T:
        assert stats.kstest(coordinate, "norm").pvalue > 0.01
    # Independent: five standard errors of no correlation among 2,000.
    assert np.abs(np.corrcoef(standard.T) - np.eye(3)).max() < 5 / 2000**0.5


@pytest.mark.parametrize("df", [0.5, 1.0, 2.0, 3.0, 30.0])
def test_heavy_tails_are_student_s(df: float) -> None:
    data = some_data(2, 4000)
    after = applied(HeavyTails(df, 3.0), data)
    np.testing.assert_array_equal(after.train_x, data.train_x)
    noise = (after.train_y - data.train_y) / 3.0
    for own in noise:
        assert stats.kstest(own, stats.t(df).cdf).pvalue > 0.01
    # Two replicates together, five standard errors: the .99 quantile is passed by one in a hundred.
    assert abs((noise > stats.t(df).ppf(0.99)).mean() - 0.01) < 5 * (0.01 * 0.99 / 8000) ** 0.5


@pytest.mark.parametrize("df", [0.1, 1e10, 1e300])
def test_tails_of_any_weight_are_numbers(df: float) -> None:
    data = some_data(1, 4000)
    after = applied(HeavyTails(df), data)
    assert np.isfinite(after.train_y).all()
    assert stats.kstest((after.train_y - data.train_y)[0], stats.t(min(df, 1e6)).cdf).pvalue > 0.01


def test_the_number_of_gross_errors_is_binomial() -> None:
    counts = applied(GrossError(0.3, 1.0), some_data(4000, 20, 1)).contaminated.sum(axis=1)
    expected = 4000 * stats.binom(20, 0.3).pmf(np.arange(21))
    observed = np.bincount(counts, minlength=21)
    some = expected > 5
    assert (
        stats.chisquare(observed[some], expected[some] * observed[some].sum() / expected[some].sum()).pvalue
        > 0.01
    )
    # Five standard errors of a mean of 6 and of a variance of 4.2.
    assert abs(counts.mean() - 6) < 5 * (4.2 / 4000) ** 0.5
    assert abs(counts.var() - 4.2) < 5 * 4.2 * (2 / 4000) ** 0.5


def test_gross_errors_of_the_first_rows_do_not_depend_on_how_many_follow() -> None:
    longer, error = some_data(2, 50, 1), GrossError(0.3, 1.0, 2.0)
    shorter = Data(
        longer.train_x[:, :20],
        longer.train_y[:, :20],
        longer.val_x,
        longer.val_y,
        longer.truth,
        longer.contaminated[:, :20],
    )
    np.testing.assert_array_equal(applied(error, shorter).train_y, applied(error, longer).train_y[:, :20])


def test_gross_errors_are_normal_about_their_shift() -> None:
    data = some_data(1, 8000)
    after = applied(GrossError(0.3, 10.0, 2.0), data)
    error = (after.train_y - data.train_y)[after.contaminated]
    assert stats.kstest((error - 10.0) / 2.0, "norm").pvalue > 0.01
    vertical = applied(GrossError(0.3, 10.0), data)
    np.testing.assert_array_equal(vertical.contaminated, after.contaminated)
    np.testing.assert_array_equal(
        vertical.train_y, np.where(vertical.contaminated, data.train_y + 10.0, data.train_y)
    )


def test_the_draws_are_pinned() -> None:
    # Recorded studies hold these rows: another stream would be another study.
    zeros = np.zeros((2, 40))
    data = Data(zeros[..., None], zeros, zeros[..., None], zeros, np.zeros((2, 2)), zeros > 0)
    vertical = applied(Vertical(0.1, 10.0), data).contaminated
    assert [np.flatnonzero(mask).tolist() for mask in vertical] == [[4, 18, 22, 28], [4, 10, 13, 28]]
    gross = applied(GrossError(0.1, 0.0, 1.0), data)
    hit = [[3, 16, 24, 26, 33, 34], [8, 11, 22, 33]]
    assert [np.flatnonzero(mask).tolist() for mask in gross.contaminated] == hit
    assert gross.train_y[0, [3, 16]] == pytest.approx([0.5137351127040757, 0.014700602594849016])
    heavy = applied(HeavyTails(1.0), data).train_y
    assert heavy[:, 0] == pytest.approx([-1.0434205531649745, 2.2968111663661026])
    cluster = applied(Cluster(0.1, 0.0, 0.0, 1.0), data)
    assert cluster.train_x[0, [4, 18], 0] == pytest.approx([0.2509519656851987, 0.5012179523155856])
    assert cluster.train_y[0, [4, 18]] == pytest.approx([0.7487060111247856, -0.3483925154761401])


# What they do to fits


@pytest.fixture(scope="module")
def noisy() -> Data:
    """Three replicates of 200 rows, y = 2 x1 - 3.4 x2 + 4.2 + N(0, 1)."""
    return Linear(noise=1.0, rows=200, val=1).draw(0, 3)


ROBUST = [L1(), Huber(1.345)]


def errors(loss: Loss, data: Data) -> np.ndarray:
    """How far the converged fits (R,) are from the truth."""
    assert data.truth is not None
    rows = zip(data.train_x, data.train_y, strict=True)
    return np.linalg.norm(np.stack([converged_fit(loss, x, y) for x, y in rows]) - data.truth, axis=1)


@pytest.mark.parametrize("loss", ROBUST, ids=str)
@pytest.mark.parametrize(
    "contamination",
    [
        BadLeverage(0.1, 1e3, 1e4),
        Cluster(0.1, 1e3, 1e4, 1.0),
        # One row of 200 is enough: the breakdown point is 1/n.
        BadLeverage(0.005, 1e6, 1e7),
        Cluster(0.005, 1e6, 1e7, 0.0),
        Single(),
    ],
    ids=str,
)
def test_leverage_carries_bounded_losses_as_far_as_squared_loss(
    noisy: Data, loss: Loss, contamination: Contamination
) -> None:
    after = applied(contamination, noisy)
    far = errors(loss, after)
    assert (far > 1).all()
    np.testing.assert_allclose(far, errors(L2(), after), rtol=0.03)


@pytest.mark.parametrize("loss", ROBUST, ids=str)
@pytest.mark.parametrize(
    "contamination",
    [Vertical(0.1, 1e4), GrossError(0.1, 1e4), GrossError(0.1, 0.0, 1e4), AdaptiveVertical(0.1, 1e4)],
    ids=str,
)
def test_bounded_losses_stand_vertical_outliers(
    noisy: Data, loss: Loss, contamination: Contamination
) -> None:
    after = applied(contamination, noisy)
    assert errors(loss, after).max() < 1
    assert errors(L2(), after).min() > 100


@pytest.mark.parametrize("loss", ROBUST, ids=str)
def test_outliers_that_see_x_do_more_harm(noisy: Data, loss: Loss) -> None:
    blind, seeing = Vertical(0.1, 1e4), AdaptiveVertical(0.1, 1e4)
    assert (errors(loss, applied(seeing, noisy)) > 1.5 * errors(loss, applied(blind, noisy))).all()


@pytest.mark.parametrize("loss", [L2(), *ROBUST], ids=str)
def test_good_leverage_harms_no_fit(noisy: Data, loss: Loss) -> None:
    after = applied(GoodLeverage(0.1, 1e3), noisy)
    assert errors(loss, after).max() < 0.3
    fits = [converged_fit(loss, x, y) for x, y in zip(after.train_x, after.train_y, strict=True)]
    # Twenty points 1,000 away hold the first slope a thousand times tighter than noise.
    np.testing.assert_allclose(np.stack(fits)[:, 0], 2.0, atol=2e-3)


@pytest.mark.parametrize("loss", ROBUST, ids=str)
@pytest.mark.parametrize("df", [1.0, 2.0])
def test_bounded_losses_stand_heavy_tails(noisy: Data, loss: Loss, df: float) -> None:
    after = applied(HeavyTails(df), noisy)
    assert np.median(errors(loss, after)) < 0.5 * np.median(errors(L2(), after))


def asymptotic_bias(loss: Loss, share: float) -> float:
    """The intercept's bias, in units of normal noise, under a share of outliers infinitely far above."""
    if isinstance(loss, L1):
        return float(ndtri(1 / (2 * (1 - share))))
    assert isinstance(loss, Huber)
    delta = loss.delta

    def pull(bias: float) -> float:
        def density(z: float) -> float:
            return float(np.clip(z - bias, -delta, delta) * stats.norm.pdf(z))

        return float(
            (1 - share) * quad(density, -9, 9, points=[bias - delta, bias + delta])[0] + share * delta
        )

    return float(brentq(pull, 0, 5))


# Roots of the asymptotic estimating equation; simulated, absolute loss's at a share of .1 is .142 +- .011.
@pytest.mark.parametrize(
    ("loss", "share", "bias"),
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
def test_one_sided_outliers_carry_the_intercept_as_far_as_theory_says(
    loss: Loss, share: float, bias: float
) -> None:
    assert asymptotic_bias(loss, share) == pytest.approx(bias, abs=6e-4)
    problem = Linear(noise=1.0, rows=600, val=1)
    after = applied(Vertical(share, 1e4), problem.draw(0, 16))
    rows = zip(after.train_x, after.train_y, strict=True)
    intercepts = np.array([converged_fit(loss, x, y)[-1] for x, y in rows]) - problem.b
    standard_error = intercepts.std(ddof=1) / 4
    assert standard_error < 0.03
    assert abs(intercepts.mean() - bias) < 3 * standard_error


# In a study


def refused(line: str, problem: str) -> str:
    """The sentence with which a study of this contamination is refused."""
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
def test_what_does_not_fit_the_problem_is_refused(line: str, problem: str, sentence: str) -> None:
    message = refused(line, problem)
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
def test_what_fits_the_problem_is_taken(line: str, problem: str) -> None:
    fields = {"name": "some", "problem": problem, "contaminations": [line], "batch_sizes": [4]}
    assert len(Study(**fields | {"sigmas": [3000]}).contaminations) == 1


@pytest.mark.parametrize(
    ("line", "where"),
    [
        *((f"{name}(fraction=1.0)", f"{name}(fraction)") for name in [*SHARED, "gross-error"]),
        *((f"{name}(fraction=-0.1)", f"{name}(fraction)") for name in [*SHARED, "gross-error"]),
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
def test_an_argument_out_of_range_is_named(line: str, where: str) -> None:
    assert where in refusal(parse, line, "contaminations", CONTAMINATIONS)


def test_every_contamination_works_in_a_study() -> None:
    lines = [str(contamination) for contamination in EVERY.values()]
    fields = {"name": "some", "problem": "linear(rows=40, val=10)", "epochs": 2, "replicates": 2}
    made = Study(**fields | {"batch_sizes": [8], "contaminations": lines})
    rows = {shard.rows.name: shard.rows for shard in execute(made)}
    assert len({each.digest for each in rows.values()}) == len(EVERY)
    clean = made.problem.draw(made.seed, made.replicates)
    for contamination in EVERY.values():
        mask = contamination.apply(clean, made.problem.model, made.seed).contaminated
        assert rows[f"{made.problem} {contamination}"].contaminated == mask[0].sum()


def test_the_documented_lines_are_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "contaminations.md").read_text()
    lines = re.findall(r"^\| `([^`]+)` \|", text.split("## What survives")[0], re.MULTILINE)
    values = [parse(line, "contaminations", CONTAMINATIONS) for line in lines]
    assert [str(value) for value in values] == lines
    assert [type(value) for value in values] == list(CONTAMINATIONS.values())
