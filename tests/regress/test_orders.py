"""Orders: every epoch visits every row once, and nothing is edited."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress import streams
from regress.baselines import ols
from regress.contamination import Vertical
from regress.orders import ORDERS, EasyToHard, HardToEasy, Order, Sequential, Shuffled, Signed
from regress.problems import Data, Planck
from regress.problems.affine import Affine
from tests.regress.helpers import between, equal, prefix, some_data

SORTED = (EasyToHard, HardToEasy, Signed)
EVERY = (Shuffled(), Sequential(), *(cls(surrogate) for cls in SORTED for surrogate in ("ols", "oracle")))
SEEDS = st.integers(0, 2**64 - 1)


def permutations(order: Order, data: Data, seed: int, epochs: int) -> np.ndarray:
    """What `order` makes of rows that an affine model fits."""
    return order.permutations(data, Affine(data.train_x.shape[-1]), seed, epochs)


def test_every_order_is_tried_here() -> None:
    assert {type(order) for order in EVERY} == set(ORDERS.values())


@pytest.mark.parametrize("order", EVERY, ids=str)
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


@pytest.mark.parametrize("cls", SORTED)
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
    if order.needs_truth and order.name != "signed":
        # Apart by more than rounding: .3 on either side of no residual would be a tie.
        data.train_y[0, 4] += 0.1
    assert permutations(order, data, 0, 1)[0, 0].tolist() == rows


@pytest.mark.parametrize("cls", SORTED)
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
def test_only_the_oracle_needs_the_generating_parameters(order: Order) -> None:
    assert order.needs_truth == ("oracle" in str(order))


@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_the_surrogate_is_the_problem_s_own_model(form: str) -> None:
    problem = Planck(form=form)
    data = problem.draw(0, 2)
    # Intensities are (1 + u) times those of the truth: every one is missed by its share of itself.
    visited = HardToEasy("oracle").permutations(data, problem.model, 0, 1)[:, 0]
    assert (np.diff(np.take_along_axis(data.train_y, visited, axis=1)) <= 0).all()
    easy = EasyToHard("ols").permutations(data, problem.model, 0, 1)
    assert (np.sort(easy, axis=-1) == np.arange(data.rows)).all()
