"""Portable arithmetic is as accurate as mpmath, SciPy and LAPACK require."""

import math
from statistics import NormalDist

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from regress.numerics import elementary
from regress.numerics.linear_algebra import least_squares, multiply, pairwise_sum, triangular_factor
from regress.numerics.normal import inverse_normal

SIZES = st.floats(-300, 300).map(lambda power: 10.0**power)
ARGUMENTS: dict[str, st.SearchStrategy[float]] = {
    "exp": st.floats(-700, 709),
    "expm1": st.floats(-700, 709) | st.floats(-1, 1) | SIZES.filter(lambda x: x < 700),
    "log1p": st.floats(-1, 1e300, exclude_min=True) | st.floats(-0.5, 0.5) | SIZES,
    "log": SIZES,
    "tanh": st.floats(-30, 30) | st.floats(-1, 1),
}
FUNCTIONS = [(name, getattr(elementary, name)) for name in ARGUMENTS]


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=list(ARGUMENTS))
@given(data=st.data())
def test_elementary_functions_are_accurate_to_two_units_in_the_last_place(
    name: str, function: object, data: st.DataObject
) -> None:
    x = data.draw(ARGUMENTS[name])
    with mpmath.workprec(200):
        exact = getattr(mpmath, name)(mpmath.mpf(x))
        error = abs(mpmath.mpf(float(function(x))) - exact)  # type: ignore[operator]
        assert error <= 2 * max(math.ulp(float(exact)), 2.0**-1074)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", -math.inf, 0.0),
        ("exp", math.inf, math.inf),
        ("exp", 0.0, 1.0),
        ("expm1", -math.inf, -1.0),
        ("expm1", math.inf, math.inf),
        ("log1p", math.inf, math.inf),
        ("log1p", 0.0, 0.0),
        ("log", 1.0, 0.0),
        ("tanh", math.inf, 1.0),
        ("tanh", -math.inf, -1.0),
    ],
)
def test_elementary_functions_return_their_limits(name: str, x: float, expected: float) -> None:
    assert getattr(elementary, name)(x) == expected


@pytest.mark.parametrize("name", ["exp", "expm1", "log1p", "tanh", "clamp"])
def test_elementary_functions_return_nan_for_nan(name: str) -> None:
    arguments = (math.nan, -1.0, 1.0) if name == "clamp" else (math.nan,)
    assert math.isnan(getattr(elementary, name)(*arguments))


@given(st.floats(0, 1, exclude_min=True, exclude_max=True).filter(lambda p: p > 1e-290))
def test_the_normal_quantile_agrees_with_statistics_and_scipy(p: float) -> None:
    (ours,) = inverse_normal(np.array([p]))
    assert ours == pytest.approx(NormalDist().inv_cdf(p), rel=4e-15, abs=1e-16)
    assert ours == pytest.approx(float(ndtri(p)), rel=1e-14, abs=1e-15)


@given(st.integers(1, 20_000), st.integers(0, 99))
def test_a_normal_quantile_has_the_same_bits_in_an_array_as_alone(count: int, seed: int) -> None:
    p = np.random.default_rng(seed).uniform(1e-9, 1 - 1e-9, count)
    chosen = np.random.default_rng(seed + 1).integers(0, count, 5)
    assert [inverse_normal(p[i : i + 1])[0] for i in chosen] == inverse_normal(p)[chosen].tolist()


@given(st.integers(0, 200), st.integers(0, 99))
def test_a_pairwise_sum_is_exact_to_rounding(count: int, seed: int) -> None:
    terms = np.random.default_rng(seed).normal(size=(2, count))
    bound = 1e-15 * np.abs(terms).sum(axis=-1)
    assert (np.abs(pairwise_sum(terms) - [math.fsum(row) for row in terms]) <= bound).all()


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 99), st.integers(-80, 80))
def test_the_triangular_factor_preserves_lengths(n: int, columns: int, seed: int, power: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(3, n, columns)) * 2.0**power
    before = rows.copy()
    factor = triangular_factor(rows)
    np.testing.assert_array_equal(rows, before)
    assert factor.shape == (3, min(n, columns), columns)
    assert (factor == np.triu(factor)).all()
    v = rng.normal(size=(3, columns))
    lengths = np.linalg.norm(multiply(rows, v), axis=-1)
    np.testing.assert_allclose(np.linalg.norm(multiply(factor, v), axis=-1), lengths, rtol=1e-12)
    for r in range(3):  # the same bits alone as in a stack of three
        np.testing.assert_array_equal(triangular_factor(rows[r : r + 1])[0], factor[r])


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 3), st.integers(0, 99))
def test_least_squares_agrees_with_lapack(n: int, columns: int, dependent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, columns)) * 10.0 ** rng.integers(-3, 4, columns)
    z = np.hstack([z, z @ rng.integers(-2, 3, size=(columns, dependent))])
    y = rng.normal(size=n)
    expected = np.linalg.lstsq(z, y, rcond=None)[0]
    w = least_squares(z, y)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(w, expected, rtol=1e-6, atol=1e-8 * scale)


def test_the_least_squares_solution_for_rows_of_zeros_is_zero() -> None:
    np.testing.assert_array_equal(least_squares(np.zeros((5, 2)), np.ones(5)), [0.0, 0.0])
