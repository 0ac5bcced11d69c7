"""Losses: laws that hold for every one, then torch's own values."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.losses import L1, L2, LOSSES, Huber, Loss, SmoothL1

RESIDUALS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)
CONSTANTS = st.floats(1e-3, 1e3)
DTYPES = st.sampled_from([torch.float32, torch.float64])
LOSS: dict[str, st.SearchStrategy[Loss]] = {
    "l2": st.builds(L2),
    "l1": st.builds(L1),
    "huber": st.builds(Huber, CONSTANTS),
    "smooth-l1": st.builds(SmoothL1, CONSTANTS),
}


def each_loss(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("name", LOSSES)(test)


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_every_loss_is_tried_here() -> None:
    assert set(LOSS) == set(LOSSES)


@each_loss
@given(data=st.data(), values=RESIDUALS)
def test_psi_is_the_derivative_of_rho(name: str, data: st.DataObject, values: list[float]) -> None:
    loss = data.draw(LOSS[name])
    u = doubles(values).requires_grad_()
    (slope,) = torch.autograd.grad(loss.rho(u).sum(), u)
    torch.testing.assert_close(loss.psi(u.detach()), slope, rtol=1e-12, atol=1e-12)


@each_loss
@given(data=st.data(), values=RESIDUALS)
def test_rho_is_even_and_psi_odd(name: str, data: st.DataObject, values: list[float]) -> None:
    loss, u = data.draw(LOSS[name]), doubles(values)
    assert torch.equal(loss.rho(u), loss.rho(-u))
    assert torch.equal(loss.psi(u), -loss.psi(-u))


@each_loss
@given(data=st.data(), values=RESIDUALS, dtype=DTYPES)
def test_rho_does_not_fall_as_the_residual_grows(
    name: str, data: st.DataObject, values: list[float], dtype: torch.dtype
) -> None:
    u = doubles(values).abs().sort().values.to(dtype)
    assert (data.draw(LOSS[name]).rho(u).diff() >= 0).all()


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
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_residual_that_left_the_numbers_stays_out(name: str, dtype: torch.dtype) -> None:
    loss = LOSSES[name]()
    u = torch.tensor([torch.inf, -torch.inf, torch.nan], dtype=dtype)
    assert loss.rho(u)[:2].tolist() == [torch.inf, torch.inf]
    assert loss.rho(u)[2].isnan()
    assert loss.psi(u)[2].isnan() or name == "l1"


@given(RESIDUALS)
def test_huber_with_a_huge_delta_is_l2(values: list[float]) -> None:
    u = doubles(values)
    torch.testing.assert_close(Huber(1e30).rho(u), L2().rho(u), rtol=1e-15, atol=1e-300)
    assert torch.equal(Huber(1e30).psi(u), L2().psi(u))


@pytest.mark.parametrize("delta", [1e38, 1e39, 1e300])
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


@given(CONSTANTS, RESIDUALS)
def test_values_and_slopes_are_those_of_torch(constant: float, values: list[float]) -> None:
    functional = torch.nn.functional
    pairs: list[tuple[Loss, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = [
        (L2(), lambda u, y: functional.mse_loss(u, y, reduction="none") / 2),
        (L1(), lambda u, y: functional.l1_loss(u, y, reduction="none")),
        (
            Huber(constant),
            lambda u, y: functional.huber_loss(u, y, reduction="none", delta=constant),
        ),
        (
            SmoothL1(constant),
            lambda u, y: functional.smooth_l1_loss(u, y, reduction="none", beta=constant),
        ),
    ]
    u = doubles(values).requires_grad_()
    for loss, peer in pairs:
        expected = peer(u, torch.zeros_like(u))
        (slope,) = torch.autograd.grad(expected.sum(), u)
        # Past the kink torch subtracts delta / 2 where here delta**2 / 2 is taken off a product.
        torch.testing.assert_close(loss.rho(u.detach()), expected.detach(), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(loss.psi(u.detach()), slope, rtol=1e-12, atol=1e-12)


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
    ],
    ids=str,
)
def test_rho_by_hand(loss: Loss, expected: list[float]) -> None:
    assert loss.rho(doubles([-3.0, -1.0, -0.5, 0.0, 2.0])).tolist() == expected
