"""Orders: every epoch visits every row once, and nothing is edited."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from regress.contaminations import Vertical
from regress.estimators.optimum import ols
from regress.numerics import streams
from regress.orders import (
    ORDERS,
    EasyToHard,
    FlipFlop,
    HardToEasy,
    Order,
    OscillatingIn,
    OscillatingOut,
    Sequential,
    Shuffled,
    ShuffleOnce,
    Signed,
    WithReplacement,
)
from regress.problems import Data, Linear, Planck, Table
from regress.problems.affine import Affine
from tests.helpers import between, equal, prefix, some_data

SORTED = (EasyToHard, HardToEasy, OscillatingIn, OscillatingOut, Signed)
SCORED = (EasyToHard, HardToEasy, Signed)
EVERY = (
    *(cls() for cls in ORDERS.values() if cls not in SORTED),
    *(
        cls(surrogate, level)
        for cls in SORTED
        for surrogate in ("ols", "oracle", "trained", "self")
        for level in ("example", "batch")
    ),
)
PERMUTE = tuple(order for order in EVERY if order != WithReplacement())
SEEDS = st.integers(0, 2**64 - 1)


def permutations(order: Order, data: Data, seed: int, epochs: int) -> np.ndarray:
    """What `order` makes of rows that an affine model fits."""
    return order.permutations(data, Affine(data.train_x.shape[-1]), seed, epochs, 7)


def test_every_order_is_tried_here() -> None:
    assert {type(order) for order in EVERY} == set(ORDERS.values())


@pytest.mark.parametrize("order", PERMUTE, ids=str)
@given(
    seed=SEEDS,
    rows=st.integers(1, 40),
    features=st.integers(1, 4),
    replicates=st.integers(1, 3),
    epochs=st.integers(1, 4),
)
def test_every_epoch_visits_every_row_once(
    order: Order, seed: int, rows: int, features: int, replicates: int, epochs: int
) -> None:
    data = some_data(replicates, rows, features)
    visited = permutations(order, data, seed, epochs)
    assert visited.shape == (replicates, epochs, rows)
    assert (np.sort(visited, axis=-1) == np.arange(rows)).all()


@pytest.mark.parametrize("order", EVERY, ids=str)
def test_an_order_leaves_the_data_as_it_was(order: Order) -> None:
    data = some_data()
    permutations(order, data, 0, 3)
    assert equal(data, some_data())


@pytest.mark.parametrize("order", EVERY, ids=str)
@given(seed=SEEDS, replicates=st.integers(1, 3), epochs=st.integers(1, 3))
def test_an_epoch_does_not_depend_on_how_many_epochs_and_replicates_there_are(
    order: Order, seed: int, replicates: int, epochs: int
) -> None:
    data = some_data(3, 20)
    every = permutations(order, data, seed, 3)
    np.testing.assert_array_equal(
        permutations(order, prefix(data, replicates), seed, epochs),
        every[:replicates, :epochs],
        strict=True,
    )


def test_shuffled_differs_by_epoch_replicate_and_seed() -> None:
    data = some_data(3, 30)
    drawn = [permutations(Shuffled(), data, seed, 4).reshape(-1, 30) for seed in (0, 1)]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 2 * 3 * 4


def test_shuffled_does_not_depend_on_the_rows() -> None:
    data = some_data(2, 30)
    contaminated = Vertical(0.3, 100.0).apply(data, Affine(2), 0)
    np.testing.assert_array_equal(
        permutations(Shuffled(), data, 0, 3), permutations(Shuffled(), contaminated, 0, 3)
    )


def test_shuffled_draws_from_the_stream_of_orders() -> None:
    drawn = permutations(Shuffled(), some_data(3, 30), 7, 2)
    np.testing.assert_array_equal(drawn[2, 1], streams.permutation(30, 7, "order", 2, 1))


def test_shuffled_is_drawn_by_the_index_of_a_replicate() -> None:
    data = some_data(3, 30)
    last = between(data, 2, 3)
    every = permutations(Shuffled(), data, 0, 3)
    np.testing.assert_array_equal(permutations(Shuffled(), last, 0, 3), every[2:])


def test_sequential_visits_rows_as_stored() -> None:
    assert (permutations(Sequential(), some_data(2, 9), 0, 3) == np.arange(9)).all()


def promised(order: Order, residual: np.ndarray) -> np.ndarray:
    """What falls nowhere along the rows that `order` visits, given prediction minus target."""
    return {"easy-to-hard": np.abs(residual), "hard-to-easy": -np.abs(residual), "signed": -residual}[
        order.name
    ]


@pytest.mark.parametrize("cls", SCORED)
@given(seed=SEEDS, rows=st.integers(1, 40), features=st.integers(1, 4))
def test_sorted_orders_are_sorted_by_what_they_promise(
    cls: type[EasyToHard], seed: int, rows: int, features: int
) -> None:
    data = some_data(2, rows, features, seed=seed % 1000)
    assert data.truth is not None
    for r in range(2):
        x, y = data.train_x[r], data.train_y[r]
        for order, w in ((cls("ols"), ols(x, y)), (cls("oracle"), data.truth[r])):
            visited = permutations(order, data, seed, 2)[r, 1]
            ranked = promised(order, x @ w[:-1] + w[-1] - y)[visited]
            assert (np.diff(ranked) > -1e-12).all()


def by_hand() -> Data:
    """Five rows whose residuals off any line through 1 + x are known."""
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    # Orthogonal to 1 and x: least squares finds y = 3 + 7x and leaves these.
    left = np.array([1.7, -0.4, -2.0, -1.6, 2.3])
    y = 3 + 7 * x + left
    return Data(x[None, :, None], y[None], x[None, :, None], y[None], np.array([[7.0, 5.0]]), y[None] < 0)


@pytest.mark.parametrize(
    ("order", "rows"),
    [
        # Targets minus predictions: 1.7, -.4, -2, -1.6, 2.3.
        (EasyToHard(), [1, 3, 0, 2, 4]),
        (HardToEasy(), [4, 2, 0, 3, 1]),
        (OscillatingIn(), [4, 1, 2, 3, 0]),
        (OscillatingOut(), [0, 3, 2, 1, 4]),
        (Signed(), [2, 3, 1, 0, 4]),
        # The generating intercept is 5, not 3: -.3, -2.4, -4, -3.6, .3.
        (EasyToHard("oracle"), [0, 4, 1, 3, 2]),
        (HardToEasy("oracle"), [2, 3, 1, 4, 0]),
        (Signed("oracle"), [2, 3, 1, 0, 4]),
    ],
    ids=str,
)
def test_sorted_orders_by_hand(order: Order, rows: list[int]) -> None:
    data = by_hand()
    if "oracle" in str(order) and order.name != "signed":
        # Apart by more than rounding: .3 on either side of no residual would be a tie.
        data.train_y[0, 4] += 0.1
    assert permutations(order, data, 0, 1)[0, 0].tolist() == rows


@pytest.mark.parametrize("cls", SCORED)
def test_rows_that_are_alike_are_visited_as_stored(cls: type[EasyToHard]) -> None:
    data = some_data(1, 30)
    assert data.truth is not None
    data.train_x[:], data.train_y[:] = 1.0, 5.0
    assert permutations(cls("oracle"), data, 0, 1)[0, 0].tolist() == list(range(30))


def test_the_surrogate_is_fitted_on_the_contaminated_rows() -> None:
    data = some_data(1, 40)
    contaminated = Vertical(0.4, 1000.0).apply(data, Affine(2), 0)
    x, y = contaminated.train_x[0], contaminated.train_y[0]
    w = ols(x, y)
    expected = np.argsort(np.abs(x @ w[:-1] + w[-1] - y), kind="stable")
    assert permutations(EasyToHard(), contaminated, 0, 1)[0, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("order", EVERY, ids=str)
def test_a_table_has_no_oracle_and_a_black_body_nothing_linear_to_train(order: Order) -> None:
    assert (order.refuse(Table(dataset="engel")) is not None) == ("oracle" in str(order))
    assert (order.refuse(Planck()) is not None) == ("trained" in str(order))
    assert order.refuse(Linear()) is None


def test_draws_with_replacement_are_uniform() -> None:
    drawn = permutations(WithReplacement(), some_data(3, 50), 0, 40)
    assert drawn.min() == 0
    assert drawn.max() == 49
    counts = np.bincount(drawn.ravel(), minlength=50)  # 6,000 draws of 50: 120 each, sd 10.8
    assert chisquare(counts).pvalue > 0.001
    # (1 - 1/n)**n of the rows do not come in an epoch.
    missed = np.mean([len(set(range(50)) - set(epoch)) / 50 for epoch in drawn.reshape(-1, 50)])
    assert missed == pytest.approx((1 - 1 / 50) ** 50, abs=0.02)


def test_shuffling_once_repeats_the_first_shuffled_epoch() -> None:
    data = some_data(2, 30)
    once, shuffled = (permutations(order, data, 5, 3) for order in (ShuffleOnce(), Shuffled()))
    assert (once == shuffled[:, :1]).all()


def test_flip_flop_goes_there_and_back() -> None:
    data = some_data(2, 30)
    visited, shuffled = (permutations(order, data, 5, 5) for order in (FlipFlop(), Shuffled()))
    np.testing.assert_array_equal(visited[:, ::2], shuffled[:, ::2])
    np.testing.assert_array_equal(visited[:, 1::2], visited[:, :4:2, ::-1])


@pytest.mark.parametrize("cls", SORTED)
def test_whole_batches_are_sorted_by_their_mean_and_a_smaller_one_stays_last(cls: type[EasyToHard]) -> None:
    data, order = some_data(2, 38), cls(level="batch")  # batches of 7: five full ones, and three rows
    drawn, sorted_ = (permutations(o, data, 0, 3) for o in (Shuffled(), order))
    np.testing.assert_array_equal(sorted_[..., 35:], drawn[..., 35:])
    for r in range(2):
        x, y = data.train_x[r], data.train_y[r]
        w = ols(x, y)
        residual = x @ w[:-1] + w[-1] - y
        loss = -residual if cls is Signed else residual**2
        for before, after in zip(drawn[r, :, :35], sorted_[r, :, :35], strict=True):
            batches = {tuple(batch) for batch in before.reshape(5, 7)}
            assert {tuple(batch) for batch in after.reshape(5, 7)} == batches
            ranks = loss[after].reshape(5, 7).mean(axis=1).argsort().argsort().tolist()
            assert (
                ranks
                == {
                    EasyToHard: [0, 1, 2, 3, 4],
                    HardToEasy: [4, 3, 2, 1, 0],
                    OscillatingIn: [4, 0, 3, 1, 2],
                    OscillatingOut: [2, 1, 3, 0, 4],
                    Signed: [0, 1, 2, 3, 4],
                }[cls]
            )


def test_a_trained_surrogate_has_seen_the_rows_once() -> None:
    data = Linear(rows=400).draw(3, 2)
    visited = EasyToHard("trained").permutations(data, Affine(2), 3, 1, 32)[:, 0]
    for r in range(2):
        w, (x, y) = torch.zeros(3, dtype=torch.float64), (data.train_x[r], data.train_y[r])
        z = torch.from_numpy(np.hstack([x, np.ones((400, 1))]))
        for batch in torch.from_numpy(streams.permutation(400, 3, "surrogate", r)).split(32):
            w -= 0.03 * z[batch].T @ (z[batch] @ w - torch.from_numpy(y)[batch]) / 32
        distance = (z @ w - torch.from_numpy(y)).abs().numpy()
        assert (np.diff(distance[visited[r]]) > -1e-9).all()
        assert np.median(distance) > 0.1  # one epoch is not enough


@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_the_surrogate_is_the_problem_s_own_model(form: str) -> None:
    problem = Planck(form=form)
    data = problem.draw(0, 2)
    # Intensities are (1 + u) times those of the truth: every one is missed by its share of itself.
    visited = HardToEasy("oracle").permutations(data, problem.model, 0, 1, 32)[:, 0]
    assert (np.diff(np.take_along_axis(data.train_y, visited, axis=1)) <= 0).all()
    easy = EasyToHard("ols").permutations(data, problem.model, 0, 1, 32)
    assert (np.sort(easy, axis=-1) == np.arange(data.rows)).all()
