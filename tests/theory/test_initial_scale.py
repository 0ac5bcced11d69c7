"""Predicted epochs to tolerance agree with those that training needs from distant initial parameters."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.fleet import Lane, Schedule, train
from regress.losses import L1, L2, Huber, Loss
from regress.orders import Shuffled
from regress.problems import Linear
from regress.theory import l1_epochs, l2_epochs, start_distance

PROBLEM = Linear()
DATA = PROBLEM.draw(0, 64)
SCHEDULE = Schedule(32, "mean", "weight")
STEPS = 1000 / 32


def errors(losses: list[Loss], lr: float, sigma: float, epochs: int) -> np.ndarray:
    """Return |w - w*| (epochs + 1, L, R) of trained models, beginning with the initial error."""
    draws = np.random.default_rng(0).normal(size=(DATA.replicates, 2))
    start = PROBLEM.model.start(np.full(DATA.replicates, sigma), draws)
    orders = Shuffled().permutations(DATA, PROBLEM.model, 0, epochs, 32)
    rows = PROBLEM.model.table(DATA.train_x, DATA.train_y, torch.float64)
    lanes = [Lane(loss, lr) for loss in losses]
    starts = np.broadcast_to(start, (len(lanes), *start.shape))
    trajectory = train(PROBLEM.model, rows, orders, starts, lanes, SCHEDULE)
    path = np.concatenate([starts[None], trajectory.params.numpy()])
    return np.asarray(np.linalg.norm(path - DATA.truth, axis=-1))


def test_a_loss_with_bounded_psi_approaches_the_optimum_by_a_constant_amount_per_step() -> None:
    """An earlier simulation of absolute loss at lr .03 gave .023941 per step; predicted are .023937."""
    lr = 0.03
    error = errors([L1(), Huber(1.0), Huber(3.0)], lr, 1e3, 3)
    per_step = (error[0] - error[-1]).mean(axis=1) / (3 * STEPS)
    assert 1 / l1_epochs(1.0, 0.0, lr, 1.0) == pytest.approx(0.023937, abs=1e-6)
    assert per_step == pytest.approx([0.023937, 0.023937, 3 * 0.023937], rel=0.01)
    for measured, bound in zip(per_step, (1, 1, 3), strict=True):
        assert 1 / l1_epochs(1.0, 0.0, lr, 1.0, bound) == pytest.approx(measured, rel=0.01)


def test_epochs_grow_with_the_distance_under_absolute_loss() -> None:
    lr, tolerance = 0.3, 0.5
    for sigma in (10.0, 60.0):
        error = errors([L1()], lr, sigma, 20)[:, 0]
        measured = (error <= tolerance).argmax(axis=0)
        predicted = l1_epochs(error[0], tolerance, lr, STEPS)
        near = predicted < 18
        assert near.sum() > 30
        # The difference comes from the intercept, and from the last steps, whose noise is not negligible.
        assert (measured - predicted)[near].mean() == pytest.approx(0.5, abs=0.5)


def test_epochs_grow_with_the_logarithm_of_the_distance_under_squared_loss() -> None:
    lr, tolerance = 0.03, 0.05
    for sigma in (1.0, 1e2, 1e4):
        error = errors([L2()], lr, sigma, 20)[:, 0]
        measured = (error <= tolerance).argmax(axis=0)
        assert (error[-1] <= tolerance).all()
        predicted = np.ceil(l2_epochs(error[0], tolerance, lr, STEPS))
        assert np.mean(measured - predicted) == pytest.approx(0, abs=0.5)


def test_the_mean_contracts_as_predicted_where_the_hessian_is_the_identity() -> None:
    z = np.sqrt(2) * np.eye(2)  # both rows in each batch: Z'Z / 2 = I
    w, steps = np.array([300.0, -400.0]), 0
    while np.linalg.norm(w) > 0.01:
        w -= 0.1 / 2 * z.T @ (z @ w)
        steps += 1
    assert np.ceil(l2_epochs(500.0, 0.01, 0.1, 1.0)) == steps


@given(
    st.floats(1e-3, 1e6),
    st.floats(1.0, 1e3),
    st.floats(1e-4, 1.9),
    st.floats(0.1, 1.0),
)
def test_epochs_are_additive(tolerance: float, factor: float, lr: float, curvature: float) -> None:
    middle, start = tolerance * factor, tolerance * factor**2
    if abs(lr * curvature - 1) > 1e-6:
        first = l2_epochs(start, middle, lr, 4.0, curvature)
        total = first + l2_epochs(middle, tolerance, lr, 4.0, curvature)
        assert l2_epochs(start, tolerance, lr, 4.0, curvature) == pytest.approx(float(total), rel=1e-9)
    total = l1_epochs(start, middle, lr, 4.0) + l1_epochs(middle, tolerance, lr, 4.0)
    assert l1_epochs(start, tolerance, lr, 4.0) == pytest.approx(float(total), rel=1e-9)


def test_a_distance_within_tolerance_takes_no_epochs() -> None:
    distance = np.array([0.0, 0.01, 0.05])
    assert l1_epochs(distance, 0.05, 0.03, STEPS).tolist() == [0, 0, 0]
    assert l2_epochs(distance, 0.05, 0.03, STEPS).tolist() == [0, 0, 0]


@pytest.mark.parametrize("lr", [2.0, 2.5])
def test_squared_loss_takes_infinitely_many_epochs_from_the_stability_edge_on(lr: float) -> None:
    assert l2_epochs([1.0, 10.0], 0.05, lr, STEPS).tolist() == [np.inf, np.inf]
    assert l2_epochs(1.0, 0.05, lr, STEPS, curvature=0.5) < np.inf


def test_epochs_are_zero_if_a_single_step_reaches_the_optimum() -> None:
    assert l2_epochs(10.0, 0.05, 1.0, STEPS) == 0


def test_the_initial_distance_is_the_root_mean_square() -> None:
    truth, sigmas = np.array([2.0, -3.4, 4.2]), np.array([0.0, 0.1, 10.0])
    draws = np.random.default_rng(1).normal(size=(40000, 2))
    model = PROBLEM.model
    start = np.stack([model.start(np.full(len(draws), sigma), draws) for sigma in sigmas])
    square = ((start - truth) ** 2).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(start_distance(sigmas, model.draws, truth), np.sqrt(square), rtol=0.01)
