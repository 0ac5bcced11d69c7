"""The intercept's asymptotic bias under infinite outliers agrees with closed forms and with fits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.dataclasses import dataclass
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from regress.contaminations import Vertical
from regress.estimators.optimum import converged_fit
from regress.losses import L1, L2, Huber, Loss, SmoothL1
from regress.problems import Linear
from regress.theory import intercept_bias

FRACTIONS = st.floats(0.001, 0.45)
SCALES = st.floats(1e-3, 1e3)


@dataclass(frozen=True)
class Quantile(Loss):
    """psi(u) = 1 - tau for u > 0, else -tau: the fit is the tau quantile."""

    name = "quantile"
    tau: float

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return u * self.psi(u)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return (u > 0).to(u.dtype) - self.tau


@dataclass(frozen=True)
class Cauchy(Loss):
    """psi(u) = u / (1 + u**2), which redescends to 0."""

    name = "cauchy"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return (u * u).log1p() / 2

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u / (1 + u * u)


@pytest.mark.parametrize(
    ("loss", "expected"),
    # In units of the noise, from Huber (1964) and from the closed form of the estimating equation.
    [(L1(), [0.140, 0.319, 0.566]), (Huber(1.345), [0.182, 0.416, 0.736])],
    ids=str,
)
def test_the_bias_agrees_with_published_values(loss: Loss, expected: list[float]) -> None:
    assert [intercept_bias(loss, e) for e in (0.1, 0.2, 0.3)] == pytest.approx(expected, abs=5e-4)


@settings(max_examples=30)
@given(FRACTIONS, SCALES)
def test_the_bias_of_absolute_loss_is_a_normal_quantile(fraction: float, noise: float) -> None:
    expected = noise * norm.ppf(1 / (2 * (1 - fraction)))
    assert intercept_bias(L1(), fraction, noise) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=30)
@given(FRACTIONS, st.floats(0.1, 10))
def test_the_bias_of_huber_s_loss_solves_its_equation_in_closed_form(fraction: float, delta: float) -> None:
    def mean_psi(t: float) -> float:
        a, b = -delta - t, delta - t  # t + xi is within [-delta, delta] for a <= xi <= b
        inside = t * (norm.cdf(b) - norm.cdf(a)) + norm.pdf(a) - norm.pdf(b)
        return float(inside + delta * (norm.sf(b) - norm.cdf(a)))

    expected = brentq(lambda t: (1 - fraction) * mean_psi(t) - fraction * delta, 0, 50, xtol=1e-14)
    assert intercept_bias(Huber(delta), fraction) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30)
@given(st.sampled_from([L1(), Huber(0.5), Huber(3.0), SmoothL1(2.0)]), FRACTIONS, FRACTIONS)
def test_the_bias_grows_with_the_share_of_outliers(loss: Loss, left: float, right: float) -> None:
    low, high = sorted((left, right))
    assert 0 < intercept_bias(loss, low) <= intercept_bias(loss, high)


@settings(max_examples=30)
@given(FRACTIONS, SCALES, st.floats(0.01, 10))
def test_the_bias_scales_with_noise_and_delta_together(fraction: float, noise: float, delta: float) -> None:
    scaled = intercept_bias(Huber(delta * noise), fraction, noise)
    assert scaled == pytest.approx(noise * intercept_bias(Huber(delta), fraction), rel=1e-9)


@settings(max_examples=30)
@given(FRACTIONS, SCALES)
def test_smooth_l1_has_the_same_bias_as_huber(fraction: float, beta: float) -> None:
    assert intercept_bias(SmoothL1(beta), fraction) == pytest.approx(intercept_bias(Huber(beta), fraction))


@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.01])
def test_huber_s_bias_for_noise_far_below_delta_is_that_of_a_mean_with_outliers_at_delta(
    noise: float,
) -> None:
    assert intercept_bias(Huber(1.0), 0.1, noise) == pytest.approx(1 / 9)


def test_absolute_loss_has_no_bias_without_noise() -> None:
    assert intercept_bias(L1(), 0.3, 0.0) == pytest.approx(0, abs=1e-11)


@pytest.mark.parametrize("loss", [L1(), L2(), Huber(1.0), Quantile(0.9), Cauchy()], ids=str)
def test_without_outliers_there_is_no_bias(loss: Loss) -> None:
    assert intercept_bias(loss, 0.0) == 0


def test_the_bias_of_squared_loss_is_infinite() -> None:
    assert intercept_bias(L2(), 0.01) == np.inf


@pytest.mark.parametrize("loss", [L1(), Huber(1.345)], ids=str)
def test_the_bias_is_infinite_from_half_the_rows_on(loss: Loss) -> None:
    assert np.isfinite(intercept_bias(loss, 0.49))
    assert intercept_bias(loss, 0.5) == np.inf


def test_a_loss_with_redescending_psi_has_no_bias() -> None:
    assert intercept_bias(Cauchy(), 0.4) == 0


@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
def test_the_bias_of_a_quantile_is_a_difference_of_normal_quantiles(tau: float) -> None:
    expected = norm.ppf(tau / 0.95) - norm.ppf(tau)
    assert intercept_bias(Quantile(tau), 0.05, 2.0) == pytest.approx(2 * expected, rel=1e-7)
    assert intercept_bias(Quantile(tau), 1.01 * (1 - tau)) == np.inf


@dataclass(frozen=True)
class Fair(Loss):
    """psi(u) = u / (1 + |u|), which approaches its bound 1 without reaching it."""

    name = "fair"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return u.abs() - u.abs().log1p()

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u / (1 + u.abs())


def test_the_bias_solves_the_estimating_equation_of_any_bounded_psi() -> None:
    bias = intercept_bias(Fair(), 0.2)
    mean, _ = quad(
        lambda xi: (bias - xi) / (1 + abs(bias - xi)) * norm.pdf(xi), -9, 9, points=[bias], epsabs=1e-12
    )
    assert 0.8 * mean == pytest.approx(0.2, abs=1e-10)


@pytest.mark.parametrize("loss", [L1(), Huber(1.345)], ids=str)
def test_fits_with_distant_outliers_have_the_predicted_bias(loss: Loss) -> None:
    """Earlier draws of 1,000 rows and more gave .142 +- .011 for L1 at a fraction of .1 and noise 1."""
    problem = Linear(noise=1.0, rows=400, val=1)
    data = Vertical(0.1, 1e4).apply(problem.draw(0, 40), problem.model, 0)
    assert data.truth is not None
    error = np.array(
        [
            converged_fit(loss, x, y) - w
            for x, y, w in zip(data.train_x, data.train_y, data.truth, strict=True)
        ]
    )
    deviation = error.std(axis=0, ddof=1) / np.sqrt(40)
    np.testing.assert_array_less(
        np.abs(error.mean(axis=0) - [0, 0, intercept_bias(loss, 0.1)]), 4 * deviation
    )
    assert deviation[2] < 0.02
