"""Derivatives by autograd agree with algebra and with finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.losses import L2, Huber, Loss, SmoothL1
from regress.problems import Linear, Ohm, Planck, Problem
from regress.theory import derivatives, hessian


def test_the_second_derivative_of_sin_is_minus_sin() -> None:
    x = np.arange(-5, 5, 0.1)
    first, second = derivatives(torch.sin, x)
    np.testing.assert_allclose(first, np.cos(x), atol=1e-15)
    np.testing.assert_allclose(second, -np.sin(x), atol=1e-15)


@given(features=st.integers(1, 6), rows=st.integers(8, 60), seed=st.integers(0, 1000))
def test_the_hessian_of_squared_loss_is_the_second_moment_of_the_inputs(
    features: int, rows: int, seed: int
) -> None:
    problem = Linear(w=tuple(float(i) for i in range(features)), rows=rows, val=1)
    data = problem.draw(seed, 1)
    x, y = data.train_x[0], data.train_y[0]
    z = np.hstack([x, np.ones((rows, 1))])
    w = np.random.default_rng(seed).normal(size=features + 1)
    np.testing.assert_allclose(hessian(problem.model, L2(), x, y, w), z.T @ z / rows, atol=1e-12)


def hessian_by_differences(
    problem: Problem, loss: Loss, x: np.ndarray, y: np.ndarray, w: np.ndarray
) -> np.ndarray:
    """Return the Hessian by central differences of the gradient."""
    model = problem.model
    rows = model.table(x[None], y[None], torch.float64)

    def gradient(params: np.ndarray) -> np.ndarray:
        state = model.state(torch.from_numpy(params).view(1, -1, 1))
        psi = loss.psi(model.residual(rows, state))
        return model.pullback(rows, state, psi)[0, :, 0].numpy() / len(y)

    steps = 1e-6 * np.maximum(np.abs(w), 1)
    columns = [
        (gradient(w + step * axis) - gradient(w - step * axis)) / (2 * step)
        for step, axis in zip(steps, np.eye(len(w)), strict=True)
    ]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    ("problem", "loss", "w"),
    [
        (Linear(rows=50, val=1), Huber(3.0), [1.0, -1.0, 2.0]),
        (Linear(rows=50, val=1), SmoothL1(2.0), [1.0, -1.0, 2.0]),
        (Ohm(rows=50, val=1), Huber(2.0), [3.0, 0.5]),
        (Planck(form="scaled"), L2(), [np.log(4600.0)]),
        (Planck(form="scaled"), Huber(0.1), [np.log(4600.0)]),
        (Planck(), L2(), [4600.0]),
    ],
    ids=str,
)
def test_the_hessian_agrees_with_finite_differences(problem: Problem, loss: Loss, w: list[float]) -> None:
    data = problem.draw(1, 1)
    x, y = data.train_x[0], data.train_y[0]
    params = np.array(w)
    exact = hessian(problem.model, loss, x, y, params)
    # Differences are inexact for a row whose residual crosses a kink of psi within the step.
    differences = hessian_by_differences(problem, loss, x, y, params)
    np.testing.assert_allclose(exact, differences, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(exact, exact.T, rtol=1e-12)
