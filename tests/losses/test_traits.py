"""Traits of every registered loss, compared with the same traits measured from psi on a float64 grid."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from regress.losses import LOSSES, Loss
from regress.losses.loss import Saturation

Floats = NDArray[np.float64]
Psi = Callable[[Floats], Floats]

# Multiples of the constants, which are between 0.5 and 5 here.
STEP, WIDTH, FAR, FARTHEST = 1e-3, 20.0, 1e6, 1e300
GRID = np.arange(-WIDTH, WIDTH, STEP) + STEP / 3  # without 0, where psi may jump


def instances() -> list[Loss]:
    """Return each registered loss with its default constant, and with 0.7 if it has a constant."""
    defaults = [cls() for cls in LOSSES.values()]
    changed = [type(loss)(0.7) for loss in defaults if fields(loss)]  # type: ignore[arg-type, call-arg]
    return defaults + changed


def psi_of(loss: Loss) -> Psi:
    """Return psi of a loss as a function of NumPy arrays."""
    return lambda u: np.asarray(loss.psi(torch.from_numpy(np.array(u, np.float64))).numpy())


def measure_largest_step(psi: Psi, step: float) -> float:
    """Return the largest change of psi between neighbouring points of a grid around 0."""
    return float(np.abs(np.diff(psi(np.arange(-WIDTH, WIDTH, step) + step / 3))).max())


def measure_continuity(psi: Psi) -> bool:
    # With a tenth of the step the largest change is a tenth for a continuous psi, and the same at a jump.
    return measure_largest_step(psi, STEP) > 5 * measure_largest_step(psi, STEP / 10)


def measure_boundedness(psi: Psi) -> bool:
    near, far = (np.abs(psi(np.array([-u, u]))).max() for u in (FAR, FARTHEST))
    return bool(far < 10 * max(near, 1.0))


def measure_redescent(psi: Psi) -> bool:
    far = np.abs(psi(np.array([-FAR, FAR]))).max()
    return bool(far < 1e-3 * np.abs(psi(GRID)).max())


def measure_squaredness(psi: Psi) -> bool:
    u = np.concatenate([GRID, [-FAR, FAR]])
    return bool(np.allclose(psi(u), u, rtol=1e-12, atol=0))


def measure_saturation(psi: Psi) -> Saturation | None:
    """Return the bound of psi and the residual from which psi equals it, if psi(u) = u before."""
    low, high = psi(np.array([-FAR, FAR]))
    if low != -high or high == 0 or psi(np.array([FARTHEST]))[0] != high:
        return None
    is_inside = psi(GRID) != high * np.sign(GRID)
    if not np.allclose(psi(GRID)[is_inside], GRID[is_inside], rtol=1e-12, atol=0):
        return None
    residual = float(np.abs(GRID[is_inside]).max(initial=0.0))
    return Saturation(bound=float(high), residual=residual)


def measure_quantile_level(psi: Psi) -> float | None:
    """Return tau if psi(u) = k (1{u > 0} - tau) for u != 0 and some k > 0."""
    low, high = psi(np.array([-FAR, FAR]))
    if not low < 0 < high or not np.array_equal(psi(GRID), np.where(GRID > 0, high, low)):
        return None
    return float(-low / (high - low))


MEASURES: dict[str, Callable[[Psi], object]] = {
    "has_continuous_psi": measure_continuity,
    "has_bounded_psi": measure_boundedness,
    "is_redescending": measure_redescent,
    "is_squared": measure_squaredness,
}
each_loss = pytest.mark.parametrize("loss", instances(), ids=str)


def test_this_module_covers_every_loss() -> None:
    assert {type(loss) for loss in instances()} == set(LOSSES.values())


@each_loss
@pytest.mark.parametrize("trait", MEASURES)
def test_a_trait_agrees_with_psi(loss: Loss, trait: str) -> None:
    assert getattr(loss, trait) == MEASURES[trait](psi_of(loss))


@each_loss
def test_a_stated_saturation_agrees_with_psi(loss: Loss) -> None:
    if loss.saturation is not None:
        assert measure_saturation(psi_of(loss)) == pytest.approx(loss.saturation, rel=1e-12, abs=STEP)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_saturates_with_every_constant_states_it(name: str) -> None:
    # quantile(tau=0.5) and smooth-l1(beta=1) saturate, but these losses do not with other constants.
    of_class = [loss for loss in instances() if loss.name == name]
    if all(loss.saturation is None for loss in of_class):
        assert any(measure_saturation(psi_of(loss)) is None for loss in of_class)


@each_loss
def test_the_quantile_level_agrees_with_psi(loss: Loss) -> None:
    measured = measure_quantile_level(psi_of(loss))
    expected = loss.quantile_level
    assert measured == (expected if expected is None else pytest.approx(expected, rel=1e-12))


# The measurements give other values where a trait would be wrong.


@pytest.mark.parametrize(
    ("psi", "traits"),
    [
        # has_continuous_psi, has_bounded_psi, is_redescending, is_squared
        (lambda u: u, (True, False, False, True)),
        (lambda u: 2 * u, (True, False, False, False)),
        (np.sign, (False, True, False, False)),
        (lambda u: u.clip(-2, 2), (True, True, False, False)),
        (lambda u: np.sign(u) * np.log1p(np.abs(u)), (True, False, False, False)),
        (lambda u: np.where(np.abs(u) < 3, u, 0.0), (False, True, True, False)),
        (lambda u: u / (1 + np.abs(u)) ** 2, (True, True, True, False)),
    ],
    ids=["identity", "doubled", "sign", "clipped", "logarithm", "trimmed", "redescending"],
)
def test_measured_traits_of_known_functions(psi: Psi, traits: tuple[bool, ...]) -> None:
    assert tuple(measure(psi) for measure in MEASURES.values()) == traits


def test_measured_saturation_and_quantile_level_of_known_functions() -> None:
    assert measure_saturation(lambda u: u.clip(-2, 2)) == pytest.approx((2.0, 2.0), abs=STEP)
    assert measure_saturation(np.sign) == Saturation(bound=1.0, residual=0.0)
    for unsaturated in (lambda u: u, lambda u: 2 * u.clip(-2, 2), lambda u: u.clip(-1, 2), np.tanh):
        assert measure_saturation(unsaturated) is None
    assert measure_quantile_level(lambda u: np.where(u > 0, 1.5, -4.5)) == 0.75
    for continuous in (lambda u: u.clip(-1, 1), np.tanh):
        assert measure_quantile_level(continuous) is None
