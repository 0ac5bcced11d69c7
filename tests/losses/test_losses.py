"""Losses: laws that hold for every one, then what others make of the same formulas."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import least_squares
from scipy.special import huber, pseudo_huber
from scipy.stats import norm
from sklearn.metrics import mean_pinball_loss
from statsmodels.datasets import engel
from statsmodels.regression.quantile_regression import QuantReg
from statsmodels.robust import norms

from regress.losses import (
    L1,
    L2,
    LOSSES,
    Cauchy,
    Fair,
    GemanMcClure,
    Huber,
    LogCosh,
    Loss,
    PseudoHuber,
    Quantile,
    SmoothL1,
    Tukey,
    Tuned,
    Welsch,
    scaled_psi,
    scaled_rho,
)
from regress.study import Study
from regress.values.text import parse
from tests.helpers import VALUES, execute, refusal

RESIDUALS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)
CONSTANTS = st.floats(1e-3, 1e3)
DTYPES = st.sampled_from([torch.float32, torch.float64])
LOSS: dict[str, st.SearchStrategy[Loss]] = {
    "l2": st.builds(L2),
    "l1": st.builds(L1),
    "quantile": st.builds(Quantile, st.floats(0.01, 0.99)),
    **{
        cls.name: st.builds(cls, CONSTANTS)
        for cls in (Huber, SmoothL1, PseudoHuber, LogCosh, Fair, Cauchy, Welsch, GemanMcClure, Tukey)
    },
}
TUNED = [name for name, cls in LOSSES.items() if issubclass(cls, Tuned)]
# What rho comes to far out, by its constant; all others grow for ever.
CEILING: dict[str, Callable[[float], float]] = {
    "welsch": lambda c: c * c / 2,
    "geman-mcclure": lambda c: c * c / 2,
    "tukey": lambda c: c * c / 6,
}
# What |psi| comes to far out, by the constant.
PULL: dict[str, Callable[[float], float]] = {
    "huber": lambda delta: delta,
    "pseudo-huber": lambda delta: delta,
    "log-cosh": lambda c: c,
    "fair": lambda c: c,
    "cauchy": lambda c: 0.0,
    "welsch": lambda c: 0.0,
    "geman-mcclure": lambda c: 0.0,
    "tukey": lambda c: 0.0,
}


def each(names: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return pytest.mark.parametrize("name", names)


each_loss = each(LOSSES)
each_tuned = each(TUNED)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def constant(loss: Loss) -> float:
    """The first argument of a tuned loss."""
    return float(getattr(loss, fields(loss)[0].name))  # type: ignore[arg-type]


def derivative(function: Callable[[torch.Tensor], torch.Tensor], u: torch.Tensor) -> torch.Tensor:
    leaf = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(leaf).sum(), leaf, create_graph=True)
    return slope


def ladder(dtype: torch.dtype) -> torch.Tensor:
    """Residuals of every size that the dtype has, both signs, and 0."""
    info = torch.finfo(dtype)
    exponents = torch.linspace(math.log10(info.tiny), math.log10(info.max), 2000, dtype=torch.float64)
    sizes = torch.cat([(10**exponents).to(dtype).clamp(max=info.max), torch.tensor([0.0], dtype=dtype)])
    return torch.cat([sizes, -sizes])


def test_every_loss_is_tried_here() -> None:
    assert set(LOSS) == set(LOSSES)
    assert set(TUNED) == set(PULL) == set(LOSSES) - {"l2", "l1", "smooth-l1", "quantile"}


@each_loss
@given(data=st.data(), values=RESIDUALS)
def test_psi_is_the_derivative_of_rho(name: str, data: st.DataObject, values: list[float]) -> None:
    loss, u = data.draw(LOSS[name]), doubles(values)
    slope = derivative(loss.rho, u).detach()
    torch.testing.assert_close(loss.psi(u), slope, rtol=1e-12, atol=1e-12)


@each([name for name in LOSSES if name != "quantile"])
@given(data=st.data(), values=RESIDUALS)
def test_rho_is_even_and_psi_odd(name: str, data: st.DataObject, values: list[float]) -> None:
    loss, u = data.draw(LOSS[name]), doubles(values)
    assert torch.equal(loss.rho(u), loss.rho(-u))
    assert torch.equal(loss.psi(u), -loss.psi(-u))


@given(st.floats(0.01, 0.99), RESIDUALS)
def test_a_quantile_mirrors_its_complement(tau: float, values: list[float]) -> None:
    u = doubles(values)
    torch.testing.assert_close(Quantile(tau).rho(u), Quantile(1 - tau).rho(-u), rtol=1e-13, atol=0)


@each_loss
@given(data=st.data(), values=RESIDUALS, dtype=DTYPES)
def test_rho_does_not_fall_as_the_residual_grows(
    name: str, data: st.DataObject, values: list[float], dtype: torch.dtype
) -> None:
    loss, size = data.draw(LOSS[name]), doubles(values).abs().sort().values.to(dtype)
    for u in (size, -size):
        rho = loss.rho(u)
        # Logarithms and exponentials are right to a digit, not rounded in order.
        slack = 8 * torch.finfo(dtype).eps * rho[1:]
        assert (rho >= 0).all()
        assert (rho.diff() >= -slack).all()


@each_loss
@given(data=st.data())
def test_nothing_is_lost_at_no_residual(name: str, data: st.DataObject) -> None:
    loss, zero = data.draw(LOSS[name]), doubles([0.0, -0.0])
    assert torch.equal(loss.rho(zero), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(loss.psi(zero), torch.zeros(2, dtype=torch.float64))


@each_loss
@given(data=st.data(), dtype=DTYPES)
def test_shape_and_dtype_are_kept_and_residuals_left_alone(
    name: str, data: st.DataObject, dtype: torch.dtype
) -> None:
    loss = data.draw(LOSS[name])
    u = torch.linspace(-3, 3, 24, dtype=dtype).view(2, 3, 4)
    before = u.clone()
    for function in (loss.rho, loss.psi):
        value = function(u)
        assert (value.shape, value.dtype) == (u.shape, u.dtype)
        assert torch.equal(u, before)


@each_loss
@given(data=st.data(), n=st.integers(1, 300), dtype=DTYPES, seed=st.integers(0, 99))
def test_a_value_is_the_same_bit_for_bit_in_a_vector_as_alone(
    name: str, data: st.DataObject, n: int, dtype: torch.dtype, seed: int
) -> None:
    loss = data.draw(LOSS[name])
    rng = np.random.default_rng(seed)
    u = torch.from_numpy(rng.normal(size=n) * 10.0 ** rng.integers(-3, 6, n)).to(dtype)
    start, step = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 5))
    for function in (loss.rho, loss.psi):
        whole = function(u)
        assert torch.equal(function(u[start:]), whole[start:])
        assert torch.equal(function(u[start::step]), whole[start::step])
        assert torch.equal(function(u[start : start + 1].clone()), whole[start : start + 1])
        assert torch.equal(function(u.expand(3, n))[1], whole)


@each_loss
@each_dtype
@pytest.mark.parametrize("argument", [None, 1e-15, 1e-3, 1e3, 1e15])
def test_no_residual_is_so_large_or_small_that_sense_is_lost(
    name: str, dtype: torch.dtype, argument: float | None
) -> None:
    cls = LOSSES[name]
    loss = cls(argument) if argument and name not in ("l2", "l1", "quantile") else cls()
    u = ladder(dtype)
    rho, psi = loss.rho(u), loss.psi(u)
    assert not rho.isnan().any()
    assert (rho >= 0).all()
    assert psi.isfinite().all()
    assert (psi * u.sign() >= 0).all()
    if name in TUNED:
        # |psi| <= |u|, and never above the constant; u / c may be too small to have all its digits.
        c, smallest = constant(loss), torch.finfo(dtype).tiny * torch.finfo(dtype).eps
        assert (psi.abs() <= u.abs().clamp(max=c) * (1 + 1e-6) + c * smallest).all()
        # So rho <= c |u|: it is a number wherever that is one.
        assert (rho <= c * u.abs() * (1 + 1e-6)).all()


@each_loss
@each_dtype
def test_a_residual_that_left_the_numbers_stays_out(name: str, dtype: torch.dtype) -> None:
    loss = LOSSES[name]()
    u = torch.tensor([torch.inf, -torch.inf, torch.nan], dtype=dtype)
    limit = CEILING[name](constant(loss)) if name in CEILING else torch.inf
    assert loss.rho(u)[:2].tolist() == pytest.approx([limit, limit], rel=1e-6)
    assert loss.rho(u)[2].isnan()
    assert loss.psi(u)[2].isnan() or name in ("l1", "quantile")


@each_tuned
@each_dtype
@given(c=CONSTANTS)
def test_an_outlier_pulls_with_a_constant_force_or_none(name: str, dtype: torch.dtype, c: float) -> None:
    u = torch.tensor([torch.inf, torch.finfo(dtype).max, 1e30, c * 1e12], dtype=dtype)
    pull = torch.full_like(u, PULL[name](c))
    slack = {"rtol": 1e-6, "atol": 1e-11 * c}
    loss = LOSSES[name](c)
    torch.testing.assert_close(loss.psi(u), pull, **slack)
    torch.testing.assert_close(loss.psi(-u), -pull, **slack)
    if name in CEILING:
        ceiling = torch.full_like(u, CEILING[name](c))
        torch.testing.assert_close(loss.rho(u), ceiling, rtol=1e-6, atol=0)


@each_tuned
@given(c=CONSTANTS)
def test_small_residuals_are_squared(name: str, c: float) -> None:
    loss, zero = LOSSES[name](c), doubles([0.0, -0.0])
    # The curvature at 0 is what theory.hessian makes of a perfect fit.
    curvature = derivative(partial(derivative, loss.rho), zero)
    torch.testing.assert_close(curvature, torch.ones_like(zero), rtol=1e-14, atol=0)
    u = c * doubles([1e-6, -1e-6])
    torch.testing.assert_close(loss.rho(u), L2().rho(u), rtol=1e-6, atol=0)
    torch.testing.assert_close(loss.psi(u), L2().psi(u), rtol=2e-6, atol=0)


@each_tuned
@given(values=RESIDUALS)
def test_with_a_huge_constant_a_loss_is_l2(name: str, values: list[float]) -> None:
    u, loss = doubles(values), LOSSES[name](1e15)
    torch.testing.assert_close(loss.rho(u), L2().rho(u), rtol=1e-8, atol=1e-280)
    torch.testing.assert_close(loss.psi(u), L2().psi(u), rtol=1e-8, atol=1e-280)


@pytest.mark.parametrize("delta", [1e30, 1e38, 1e39, 1e300])
def test_a_delta_beyond_the_numbers_of_the_dtype_is_l2_too(delta: float) -> None:
    u = torch.tensor([0.5, -3.0, 1e10], dtype=torch.float32)
    assert torch.equal(Huber(delta).psi(u), u)
    torch.testing.assert_close(Huber(delta).rho(u), L2().rho(u))


@given(RESIDUALS)
def test_huber_with_a_tiny_delta_is_l1_times_delta(values: list[float]) -> None:
    u, delta = doubles(values), 1e-30
    torch.testing.assert_close(Huber(delta).rho(u) / delta, L1().rho(u), rtol=1e-12, atol=1e-29)


@given(CONSTANTS, RESIDUALS, DTYPES)
def test_smooth_l1_is_huber_over_beta(beta: float, values: list[float], dtype: torch.dtype) -> None:
    u = doubles(values).to(dtype)
    torch.testing.assert_close(SmoothL1(beta).rho(u), Huber(beta).rho(u) / beta)
    torch.testing.assert_close(SmoothL1(beta).psi(u), Huber(beta).psi(u) / beta)


@given(RESIDUALS, DTYPES)
def test_the_median_s_quantile_is_half_of_l1(values: list[float], dtype: torch.dtype) -> None:
    u = doubles(values).to(dtype)
    assert torch.equal(Quantile(0.5).rho(u), L1().rho(u) / 2)
    assert torch.equal(Quantile(0.5).psi(u), L1().psi(u) / 2)


# The scale of a constant.


@each_tuned
@given(c=CONSTANTS, s=st.floats(1e-3, 1e3), values=RESIDUALS)
def test_a_scale_multiplies_the_constant(name: str, c: float, s: float, values: list[float]) -> None:
    loss, multiple, u = LOSSES[name](c), LOSSES[name](c * s), doubles(values)
    torch.testing.assert_close(
        scaled_rho(loss, u, doubles([s])), multiple.rho(u), rtol=1e-11, atol=1e-13 * (c * s) ** 2
    )
    torch.testing.assert_close(
        scaled_psi(loss, u, doubles([s])), multiple.psi(u), rtol=1e-11, atol=1e-13 * c * s
    )


@each_tuned
@given(c=CONSTANTS, power=st.integers(-20, 20), values=RESIDUALS, dtype=DTYPES)
def test_a_scale_that_is_a_power_of_two_rounds_nothing(
    name: str, c: float, power: int, values: list[float], dtype: torch.dtype
) -> None:
    # Residuals whose squares are normal numbers, and 0.
    u = doubles([value for value in values if abs(value) > 1e-9 or value == 0]).to(dtype)
    s = torch.tensor(2.0**power, dtype=dtype)
    loss, multiple = LOSSES[name](c), LOSSES[name](c * 2.0**power)
    # Bit for bit, but for what is too small to have all its digits.
    slack = {"rtol": 0, "atol": 1e6 * torch.finfo(dtype).tiny}
    torch.testing.assert_close(scaled_rho(loss, u, s), multiple.rho(u), **slack)
    torch.testing.assert_close(scaled_psi(loss, u, s), multiple.psi(u), **slack)


@each_tuned
@each_dtype
def test_every_stream_has_its_own_scale(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    u = 5 * torch.randn(3, 7, 16, dtype=dtype, generator=generator)
    s = torch.tensor([0.1, 1.0, 30.0], dtype=dtype)
    loss = LOSSES[name]()
    for function in (scaled_rho, scaled_psi):
        together = function(loss, u, s[:, None, None])
        assert together.shape == u.shape
        for stream in range(3):
            assert torch.equal(together[stream], function(loss, u[stream], s[stream]))


@each_loss
def test_the_scale_says_in_what_units_the_constant_is(name: str) -> None:
    loss = LOSSES[name]()
    assert not loss.is_scaled
    if name not in TUNED:
        assert "scale" in refusal(parse, f"{name}(scale=mad)", "losses", LOSSES)
        return
    by_mad = parse(f"{name}(scale=mad)", "losses", LOSSES)
    assert by_mad.is_scaled
    assert by_mad == replace(loss, scale="mad")  # type: ignore[call-arg]
    assert str(by_mad) == str(loss).removesuffix(")") + ", scale=mad)"
    u = doubles([-30.0, -1.0, 0.1, 2.0])
    assert torch.equal(by_mad.rho(u), loss.rho(u))
    assert torch.equal(by_mad.psi(u), loss.psi(u))


@pytest.mark.parametrize(
    ("line", "where"),
    [
        *(
            (f"{name}({argument}={value})", f"{name}({argument})")
            for name, argument in [
                ("pseudo-huber", "delta"),
                ("tukey", "c"),
                ("cauchy", "c"),
                ("fair", "c"),
            ]
            for value in ("0", "-1", "nan", "1e-16", "1e16", "1e999", "true", "'1'")
        ),
        *((f"quantile(tau={value})", "quantile(tau)") for value in ("0", "1", "-0.1", "1.5", "nan")),
        ("huber(scale=std)", "huber(scale)"),
        ("tukey(scale=1)", "tukey(scale)"),
    ],
)
def test_a_constant_out_of_range_is_refused(line: str, where: str) -> None:
    message = refusal(parse, line, "losses", LOSSES)
    assert message.startswith("losses: ")
    assert where in message


@each_loss
def test_default_constants_are_printed(name: str) -> None:
    assert str(LOSSES[name]()) == {
        "l2": "l2",
        "l1": "l1",
        "quantile": "quantile(tau=0.5)",
        "huber": "huber(delta=1.0)",
        "smooth-l1": "smooth-l1(beta=1.0)",
        "pseudo-huber": "pseudo-huber(delta=1.287)",
        "log-cosh": "log-cosh(c=1.205)",
        "fair": "fair(c=1.4)",
        "cauchy": "cauchy(c=2.385)",
        "welsch": "welsch(c=2.985)",
        "geman-mcclure": "geman-mcclure(c=3.787)",
        "tukey": "tukey(c=4.685)",
    }[name]  # fmt: skip


# Efficiency: the variance of the mean over that of the fitted location, at the normal distribution.


def efficiency(loss: Loss) -> float:
    """(E psi')**2 / E psi**2 at the standard normal, with E psi' = E u psi (by parts)."""

    def expected(weight: Callable[[float], float]) -> float:
        def integrand(u: float) -> float:
            return float(norm.pdf(u)) * weight(u)

        return 2 * float(quad(integrand, 0, 12, points=[1, 1.345, 4.685], epsabs=1e-11)[0])

    def psi(u: float) -> float:
        return float(loss.psi(doubles([u])))

    return expected(lambda u: u * psi(u)) ** 2 / expected(lambda u: psi(u) ** 2)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (L2(), 1.0),
        (L1(), 2 / math.pi),
        (Quantile(), 2 / math.pi),
        (Huber(1.345), 0.95),
        (SmoothL1(1.345), 0.95),
        *((LOSSES[name](), 0.95) for name in TUNED if name != "huber"),
    ],
    ids=str,
)
def test_the_efficiency_at_the_normal_distribution(loss: Loss, expected: float) -> None:
    assert efficiency(loss) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in TUNED if name != "huber"])
def test_another_constant_has_another_efficiency(name: str) -> None:
    c = constant(LOSSES[name]())
    smaller, larger = efficiency(LOSSES[name](0.9 * c)), efficiency(LOSSES[name](1.1 * c))
    assert smaller < 0.946
    assert larger > 0.952


# The formulas themselves, in sixty decimal digits.


def d_exp(x: Decimal) -> Decimal:
    return x.exp() if x > -1000 else Decimal(0)


FORMULAS: dict[type[Loss], tuple[Callable[[Decimal], Decimal], Callable[[Decimal], Decimal]]] = {
    # rho / c**2 and psi / c of v = u / c >= 0.
    PseudoHuber: (lambda v: (1 + v * v).sqrt() - 1, lambda v: v / (1 + v * v).sqrt()),
    LogCosh: (
        lambda v: v + ((1 + d_exp(-2 * v)) / 2).ln(),
        lambda v: (1 - d_exp(-2 * v)) / (1 + d_exp(-2 * v)),
    ),
    Fair: (lambda v: v - (1 + v).ln(), lambda v: v / (1 + v)),
    Cauchy: (lambda v: (1 + v * v).ln() / 2, lambda v: v / (1 + v * v)),
    Welsch: (lambda v: (1 - d_exp(-v * v)) / 2, lambda v: v * d_exp(-v * v)),
    GemanMcClure: (lambda v: v * v / (1 + v * v) / 2, lambda v: v / (1 + v * v) ** 2),
    Tukey: (
        lambda v: (1 - max(1 - v * v, Decimal(0)) ** 3) / 6,
        lambda v: v * max(1 - v * v, Decimal(0)) ** 2,
    ),
}


def test_every_formula_is_worked_out_here() -> None:
    assert set(FORMULAS) | {Huber} == {LOSSES[name] for name in TUNED}


@pytest.mark.parametrize("cls", FORMULAS, ids=lambda cls: cls.name)
@each_dtype
@pytest.mark.parametrize("c", [2.0**-10, 1.375, 1024.0])  # numbers in float32 too
def test_every_digit_is_right_near_zero_and_far_off(cls: type[Tuned], dtype: torch.dtype, c: float) -> None:
    sizes = torch.cat([torch.logspace(-12, 12, 193), torch.linspace(0.01, 9, 200)])
    u = (c * sizes.to(torch.float64)).to(dtype)
    loss, eps = cls(c), torch.finfo(dtype).eps  # type: ignore[call-arg]
    rho, psi = FORMULAS[cls]
    with localcontext(prec=60):
        scale = Decimal(c)
        v = [Decimal(value) / scale for value in u.tolist()]
        exact_rho = doubles([float(scale * scale * rho(value)) for value in v])
        exact_psi = doubles([float(scale * psi(value)) for value in v])
    error = (loss.rho(u).to(torch.float64) - exact_rho).abs()
    assert (error <= 8 * eps * exact_rho).all()
    error = (loss.psi(u).to(torch.float64) - exact_psi).abs()
    assert (error <= 4 * eps * u.to(torch.float64).clamp(max=c)).all()


@each_dtype
def test_cauchy_s_logarithm_goes_on_to_the_largest_number(dtype: torch.dtype) -> None:
    largest = torch.tensor([torch.finfo(dtype).max], dtype=dtype)
    for c in (1e-15, 1.0, 1e15):
        expected = c * c * (math.log(torch.finfo(dtype).max) - math.log(c))
        assert float(Cauchy(c).rho(largest)) == pytest.approx(expected, rel=1e-6)


# What others make of the same formulas.


@given(CONSTANTS, RESIDUALS)
def test_values_and_slopes_are_those_of_torch(c: float, values: list[float]) -> None:
    functional = torch.nn.functional
    pairs: list[tuple[Loss, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = [
        (L2(), lambda u, y: functional.mse_loss(u, y, reduction="none") / 2),
        (L1(), lambda u, y: functional.l1_loss(u, y, reduction="none")),
        (Huber(c), lambda u, y: functional.huber_loss(u, y, reduction="none", delta=c)),
        (SmoothL1(c), lambda u, y: functional.smooth_l1_loss(u, y, reduction="none", beta=c)),
    ]
    u = doubles(values)
    for loss, peer in pairs:

        def expected(u: torch.Tensor, peer: Any = peer) -> torch.Tensor:
            return peer(u, torch.zeros_like(u))

        # Past the kink torch subtracts delta / 2 where here delta**2 / 2 is taken off a product.
        torch.testing.assert_close(loss.rho(u), expected(u), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(loss.psi(u), derivative(expected, u).detach(), rtol=1e-12, atol=1e-12)


@given(CONSTANTS, RESIDUALS)
def test_values_and_slopes_are_those_of_statsmodels(c: float, values: list[float]) -> None:
    u = doubles(values)
    for loss, peer in [
        (L2(), norms.LeastSquares()),
        (Huber(c), norms.HuberT(c)),
        (Tukey(c), norms.TukeyBiweight(c)),
        (Cauchy(c), norms.StudentT(c, df=1)),
    ]:
        # Their formulas take differences of numbers as large as c**2.
        rho, psi = torch.from_numpy(peer.rho(u.numpy())), torch.from_numpy(peer.psi(u.numpy()))
        torch.testing.assert_close(loss.rho(u), rho, rtol=1e-9, atol=1e-14 * c * c)
        torch.testing.assert_close(loss.psi(u), psi, rtol=1e-9, atol=1e-14 * c)


@given(CONSTANTS, RESIDUALS)
def test_values_are_those_of_scipy(c: float, values: list[float]) -> None:
    u = doubles(values)
    for loss, peer in [(Huber(c), huber), (PseudoHuber(c), pseudo_huber)]:
        expected = torch.from_numpy(peer(c, u.numpy()))
        torch.testing.assert_close(loss.rho(u), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("cls", "peer"), [(Huber, "huber"), (PseudoHuber, "soft_l1"), (Cauchy, "cauchy")], ids=str
)
def test_scipy_s_robust_fit_pays_the_same(cls: type[Tuned], peer: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2))
    y = x @ [1.0, -2.0] + rng.standard_t(2, size=50)
    fit = least_squares(lambda w: x @ w - y, np.zeros(2), loss=peer, f_scale=0.7, ftol=1e-15)
    loss, u = cls(0.7), torch.from_numpy(fit.fun)  # type: ignore[call-arg]
    assert float(loss.rho(u).sum()) == pytest.approx(fit.cost, rel=1e-12)
    assert np.abs(x.T @ loss.psi(u).numpy()).max() < 1e-6


@given(st.floats(0.01, 0.99), RESIDUALS, RESIDUALS)
def test_the_quantile_s_loss_is_scikit_learn_s(tau: float, one: list[float], other: list[float]) -> None:
    n = min(len(one), len(other))
    prediction, y = one[:n], other[:n]
    mean = float(Quantile(tau).rho(doubles(prediction) - doubles(y)).mean())
    assert mean == pytest.approx(mean_pinball_loss(y, prediction, alpha=tau), rel=1e-12, abs=1e-12)


# What a quantile's loss fits.


@given(st.floats(0.05, 0.95), st.integers(1, 60), st.integers(0, 99))
def test_a_sample_s_quantile_costs_least(tau: float, n: int, seed: int) -> None:
    y = torch.from_numpy(np.random.default_rng(seed).normal(size=n)).sort().values
    cost = Quantile(tau).rho(y[:, None] - y).mean(dim=1)  # of predicting y[i] for all
    assert cost[math.ceil(tau * n) - 1] <= cost.min() + 1e-12


def test_statsmodels_quantile_regression_costs_least() -> None:
    data = engel.load_pandas().data
    z = np.column_stack([np.ones(len(data)), data["income"]])
    y = data["foodexp"].to_numpy()
    w = QuantReg(y, z).fit(q=0.9).params

    def cost(w: Any) -> float:
        return float(Quantile(0.9).rho(torch.from_numpy(z @ w - y)).mean())

    for step in np.random.default_rng(0).normal(size=(100, 2)) * [10.0, 0.01]:
        assert cost(w + step) > cost(w)
        assert cost(w + step / 100) > cost(w) - 1e-4


def test_nine_rows_of_ten_end_below_the_trained_quantile() -> None:
    fields = {"problem": "linear(w=[2, -3], b=4, noise=1)", "lrs": [0.03], "epochs": 30}
    study = Study(**{"name": "quantile", "losses": ["quantile(tau=0.9)"], "replicates": 8, **fields})
    table = execute(study)[0].table.to_pandas()
    last = np.stack(table[table["epoch"] == table["epoch"].max()]["params"])
    # y = 2 a - 3 b + 4 + N(0, 1), whose .9 quantile is 1.2816 above its mean.
    np.testing.assert_allclose(np.median(last, axis=0), [2, -3, 4 + norm.ppf(0.9)], atol=0.1)


@pytest.mark.parametrize(
    ("loss", "expected"),
    # By hand, at -3, -1, -.5, 0, 2.
    [
        (L2(), [4.5, 0.5, 0.125, 0.0, 2.0]),
        (L1(), [3.0, 1.0, 0.5, 0.0, 2.0]),
        (Huber(1.0), [2.5, 0.5, 0.125, 0.0, 1.5]),
        (Huber(2.0), [4.0, 0.5, 0.125, 0.0, 2.0]),
        (SmoothL1(0.5), [2.75, 0.75, 0.25, 0.0, 1.75]),
        (SmoothL1(2.0), [2.0, 0.25, 0.0625, 0.0, 1.0]),
        (Quantile(0.75), [2.25, 0.75, 0.375, 0.0, 0.5]),
        (GemanMcClure(1.0), [0.45, 0.25, 0.1, 0.0, 0.4]),
        (Tukey(1.0), [1 / 6, 1 / 6, 37 / 384, 0.0, 1 / 6]),
    ],
    ids=str,
)
def test_rho_by_hand(loss: Loss, expected: list[float]) -> None:
    rho = loss.rho(doubles([-3.0, -1.0, -0.5, 0.0, 2.0]))
    assert rho.tolist() == pytest.approx(expected, rel=1e-15)


@each_loss
@given(data=st.data())
def test_print_and_parse_are_inverse(name: str, data: st.DataObject) -> None:
    loss = data.draw(VALUES[LOSSES[name]])
    assert parse(str(loss), "losses", LOSSES) == loss
