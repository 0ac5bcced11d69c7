"""The traits of each loss, against its psi on a grid."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from regress.losses import LOSSES, Loss

Floats = NDArray[np.float64]

FAR = 1e6  # times the constants of the losses, which are near 1
NAMES = list(LOSSES)


def psi(loss: Loss, u: Floats) -> Floats:
    return np.asarray(loss.psi(torch.from_numpy(np.array(u, float))).numpy())


def rho(loss: Loss, u: Floats) -> Floats:
    return np.asarray(loss.rho(torch.from_numpy(np.array(u, float))).numpy())


def largest_jump(loss: Loss, step: float) -> float:
    """The largest change of psi between neighbours of a grid around 0."""
    return float(np.abs(np.diff(psi(loss, np.arange(-20, 20, step) + step / 3))).max())


@pytest.mark.parametrize("name", NAMES)
def test_a_continuous_psi_has_no_jump(name: str) -> None:
    loss = LOSSES[name]()
    # A tenth of the step makes the changes of a continuous psi ten times smaller, and no jump.
    ratio = largest_jump(loss, 1e-2) / largest_jump(loss, 1e-3)
    assert loss.has_continuous_psi == (ratio > 5)


@pytest.mark.parametrize("name", NAMES)
def test_a_bounded_psi_stops_growing(name: str) -> None:
    loss = LOSSES[name]()
    near, far = np.abs(psi(loss, np.array([FAR, 1e3 * FAR])))
    assert loss.has_bounded_psi == (far < 10 * max(near, 1.0))


@pytest.mark.parametrize("name", NAMES)
def test_a_redescending_psi_returns_to_zero(name: str) -> None:
    loss = LOSSES[name]()
    largest = np.abs(psi(loss, np.linspace(-20, 20, 4001))).max()
    assert loss.is_redescending == (abs(psi(loss, np.array([FAR]))[0]) < 1e-3 * largest)


@pytest.mark.parametrize("name", NAMES)
def test_only_squared_loss_is_squared(name: str) -> None:
    loss = LOSSES[name]()
    u = np.linspace(-20, 20, 401)
    assert loss.is_squared == np.allclose(rho(loss, u), u * u / 2)


@pytest.mark.parametrize("name", NAMES)
def test_psi_is_the_residual_up_to_saturation_and_constant_beyond(name: str) -> None:
    loss = LOSSES[name]()
    if loss.saturation is None:
        return
    bound, residual = loss.saturation
    beyond = np.array([1.001, 3.0, 1e6]) * max(residual, 1.0)
    np.testing.assert_allclose(psi(loss, beyond), bound)
    np.testing.assert_allclose(psi(loss, -beyond), -bound)
    inside = np.linspace(-residual, residual, 11)[1:-1]
    np.testing.assert_allclose(psi(loss, inside), inside if residual else 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_quantile_loss_is_the_check_loss_up_to_a_factor(name: str) -> None:
    loss = LOSSES[name]()
    u = np.linspace(-5, 5, 101)
    tau = loss.quantile_level
    if tau is None:
        ratios = [rho(loss, u) / np.maximum(u * ((u > 0) - t), 1e-12) for t in np.linspace(0.1, 0.9, 9)]
        assert all(ratio[np.abs(u) > 0.1].std() > 1e-3 for ratio in ratios)
    else:
        ratio = rho(loss, u)[u != 0] / (u * ((u > 0) - tau))[u != 0]
        np.testing.assert_allclose(ratio, ratio[0])
