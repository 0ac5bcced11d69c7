"""The limit of SGD when all epochs have the same order agrees with the fleet and with recorded values."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.contaminations import Clean, Contamination, Vertical
from regress.estimators.optimum import ols
from regress.fleet import Lane, Reduction, Schedule, Tail, train
from regress.losses import L2
from regress.orders import EasyToHard, HardToEasy, Order, OscillatingIn, Shuffled, Signed
from regress.problems import Data, Linear
from regress.problems.affine import Affine
from regress.theory import frozen_order
from tests.helpers import prefix


def with_ones(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)


@pytest.mark.parametrize("tail", ["weight", "keep", "drop"])
@pytest.mark.parametrize(("reduction", "lr"), [("mean", 0.2), ("sum", 0.02)])
def test_training_converges_to_the_limit_at_the_rate(tail: Tail, reduction: Reduction, lr: float) -> None:
    rng = np.random.default_rng(0)
    model, rows, epochs = Affine(2), 30, 250
    x, y = rng.normal(size=(1, rows, 2)), 10 * rng.normal(size=(1, rows))
    order = rng.permutation(rows)
    schedule = Schedule(8, reduction, tail)
    repeated = np.broadcast_to(order, (1, epochs, rows))
    start = rng.normal(size=(1, 1, 3))
    run = train(model, model.table(x, y, torch.float64), repeated, start, [Lane(L2(), lr)], schedule)
    path = run.params[:, 0, 0].numpy()
    z = with_ones(x[0])
    frozen = frozen_order(z[order], y[0, order], schedule.steps(rows), lr)
    np.testing.assert_allclose(path[-1], frozen.limit, atol=1e-9, rtol=0)
    error = np.linalg.norm(path - frozen.limit, axis=1)
    assert error[0] > 1e-3
    late = np.flatnonzero(error < 1e-8)[0]  # only the slowest direction is left in the error
    assert (error[late] / error[late - 4]) ** (1 / 4) == pytest.approx(frozen.rate, rel=0.05)


@given(rows=st.integers(4, 30), batch_size=st.integers(1, 30), seed=st.integers(0, 999))
def test_an_epoch_from_the_limit_ends_at_the_limit(rows: int, batch_size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, y = with_ones(rng.normal(size=(rows, 2))), rng.normal(size=rows)
    steps = Schedule(min(batch_size, rows), "mean", "weight").steps(rows)
    frozen = frozen_order(z, y, steps, 0.03)
    w = frozen.limit.copy()
    for cut, divisor in steps:
        w -= 0.03 / divisor * z[cut].T @ (z[cut] @ w - y[cut])
    np.testing.assert_allclose(w, frozen.limit, atol=1e-11)


def test_steps_may_be_given_by_row_indices() -> None:
    rng = np.random.default_rng(1)
    z, y, order = with_ones(rng.normal(size=(20, 2))), rng.normal(size=20), rng.permutation(20)
    steps = Schedule(6, "mean", "keep").steps(20)
    visited = frozen_order(z[order], y[order], steps, 0.03)
    by_index = frozen_order(z, y, [(order[cut], divisor) for cut, divisor in steps], 0.03)
    np.testing.assert_array_equal(by_index.limit, visited.limit)
    assert by_index.rate == visited.rate


def test_full_batches_converge_to_least_squares_at_the_rate_of_the_hessian() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    z = with_ones(x)
    frozen = frozen_order(z, y, [(slice(20), 20.0)], 0.5)
    np.testing.assert_allclose(frozen.limit, ols(x, y), atol=1e-12)
    assert frozen.rate == pytest.approx(1 - 0.5 * np.linalg.eigvalsh(z.T @ z / 20)[0])


@pytest.mark.parametrize("lr", [2.5, 1e3, 1e200])
def test_there_is_no_limit_where_an_epoch_expands(lr: float) -> None:
    rng = np.random.default_rng(3)
    z, y = with_ones(rng.normal(size=(40, 2))), rng.normal(size=40)
    frozen = frozen_order(z, y, Schedule(4, "mean", "keep").steps(40), lr)
    assert frozen.rate > 1
    assert np.isinf(frozen.limit).all()


def test_a_stack_of_draws_gives_each_draw_s_own_result() -> None:
    rng = np.random.default_rng(5)
    z, y = with_ones(rng.normal(size=(4, 20, 2))), rng.normal(size=(4, 20))
    z[1] *= 10  # an epoch expands
    z[2] *= 1e200  # the products overflow
    steps = Schedule(6, "mean", "weight").steps(20)
    stacked = frozen_order(z, y, steps, 0.1)
    for i in range(4):
        alone = frozen_order(z[i], y[i], steps, 0.1)
        np.testing.assert_allclose(stacked.limit[i], alone.limit, rtol=1e-12)
        np.testing.assert_allclose(stacked.rate[i], alone.rate, rtol=1e-12)
    assert np.isfinite(stacked.limit).all(axis=1).tolist() == [True, False, False, True]


def test_there_is_no_limit_if_a_direction_is_orthogonal_to_all_rows() -> None:
    z = np.repeat(with_ones(np.random.default_rng(4).normal(size=(20, 1))), 2, axis=1)
    frozen = frozen_order(z, np.ones(20), Schedule(4, "mean", "keep").steps(20), 0.1)
    assert frozen.rate == pytest.approx(1)
    assert np.isinf(frozen.limit).all()


CLEAN = Linear(val=1).draw(0, 100)
OUTLIERS = Vertical(0.1, 10.0)
ORDERS: list[Order] = [EasyToHard(), HardToEasy(), OscillatingIn(), Signed()]
PERMUTATIONS: dict[str, Callable[[Data], np.ndarray]] = {
    "shuffled": lambda data: Shuffled().permutations(prefix(data, 40), Affine(2), 0, 25, 32),
    **{
        order.name: partial(order.permutations, model=Affine(2), seed=0, epochs=1, batch_size=32)
        for order in ORDERS
    },
}


def distances(contamination: Contamination, name: str, tail: Tail) -> np.ndarray:
    """Return |limit - w_ols| of each draw, averaged over the orders of the epochs where they differ."""
    data = contamination.apply(CLEAN, Affine(2), 0)
    steps = Schedule(32, "mean", tail).steps(data.rows)
    means = []
    for x, y, orders in zip(data.train_x, data.train_y, PERMUTATIONS[name](data), strict=False):
        z, fit = with_ones(x), ols(x, y)
        limits = [frozen_order(z[order], y[order], steps, 0.03).limit for order in orders]
        means.append(np.mean([np.linalg.norm(limit - fit) for limit in limits]))
    return np.array(means)


@pytest.mark.parametrize(
    ("contamination", "tail", "name", "mean", "deviation"),
    # From 200 other draws of the notebook's data; a draw's value for `shuffled` is a mean over 25 epochs.
    [
        (Clean(), "keep", "shuffled", 2.58e-4, 0.24e-4),
        (Clean(), "keep", "easy-to-hard", 6.6e-4, 2.4e-4),
        (Clean(), "keep", "hard-to-easy", 0.64e-4, 0.29e-4),
        (Clean(), "keep", "oscillating-in", 2.0e-4, 0.8e-4),
        (Clean(), "keep", "signed", 35.6e-4, 1.0e-4),
        (OUTLIERS, "keep", "shuffled", 0.076, 0.008),
        (OUTLIERS, "keep", "easy-to-hard", 0.851, 0.034),
        (OUTLIERS, "keep", "hard-to-easy", 0.441, 0.006),
        (OUTLIERS, "keep", "oscillating-in", 0.401, 0.007),
        (OUTLIERS, "keep", "signed", 0.919, 0.033),
        (OUTLIERS, "weight", "shuffled", 0.041, None),
        (OUTLIERS, "weight", "easy-to-hard", 0.450, None),
        (OUTLIERS, "weight", "hard-to-easy", 0.439, None),
        (OUTLIERS, "weight", "oscillating-in", 0.377, None),
        (OUTLIERS, "weight", "signed", 0.447, None),
    ],
    ids=str,
)
def test_the_distance_to_least_squares_agrees_with_recorded_values(
    contamination: Contamination, tail: Tail, name: str, mean: float, deviation: float | None
) -> None:
    measured = distances(contamination, name, tail)
    assert measured.mean() == pytest.approx(mean, abs=4 * measured.std() / np.sqrt(len(measured)))
    if deviation is not None:
        assert measured.std() == pytest.approx(deviation, rel=0.4)
