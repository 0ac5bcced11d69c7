"""Metrics of trajectories agree with their definitions in NumPy."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.contaminations import Vertical
from regress.estimators.optimum import ols
from regress.fleet import Trajectory, mean_loss
from regress.losses import L1, L2, Huber, Loss, SmoothL1
from regress.metrics.evaluate import ShardMetrics, evaluate
from regress.metrics.measurement import Measurement
from regress.numerics.quantiles import nearest_rank
from regress.problems import Data, Linear, Planck, Problem, Table
from regress.problems.affine import Affine
from tests.helpers import prefix

LOSSES: tuple[Loss, ...] = (L2(), L1(), Huber(0.7), SmoothL1(0.5))
RHO = {
    "l2": lambda u: u**2 / 2,
    "l1": np.abs,
    "huber(delta=0.7)": lambda u: np.where(np.abs(u) <= 0.7, u**2 / 2, 0.7 * np.abs(u) - 0.245),
    "smooth-l1(beta=0.5)": lambda u: np.where(np.abs(u) <= 0.5, u**2, np.abs(u) - 0.25),
}


def trajectory(params: Any, first_nonfinite: Any = None, dtype: torch.dtype = torch.float64) -> Trajectory:
    params = torch.tensor(np.asarray(params), dtype=dtype)
    steps = np.zeros(params.shape[1:3], np.int64) if first_nonfinite is None else np.array(first_nonfinite)
    return Trajectory(params, steps)


def evaluate_path(
    problem: Problem,
    data: Data,
    losses: list[Loss],
    path: Trajectory,
    *,
    targets: dict[Loss, np.ndarray] | None = None,
    start: np.ndarray | None = None,
    tolerance: float = 0.05,
) -> ShardMetrics:
    """Return the metrics of models with seven steps per epoch, which start at the origin by default."""
    if targets is None:
        assert data.truth is not None
        targets = dict.fromkeys(losses, data.truth)
    initial = np.zeros(tuple(path.params.shape[1:])) if start is None else start
    return evaluate(Measurement(problem, data, targets, {}, losses, initial, path, 7, tolerance))


def evaluate_errors(errors: Any, dtype: torch.dtype = torch.float64, **more: Any) -> ShardMetrics:
    """Return the metrics of parameters (E, L, R) that equal their errors, since w* is 0."""
    problem = Linear((0.0,), 0.0, rows=4, val=3)
    params = np.stack([np.asarray(errors, float), np.zeros(np.shape(errors))], axis=-1)
    data = problem.draw(0, params.shape[2])
    return evaluate_path(problem, data, [L2()] * params.shape[1], trajectory(params, dtype=dtype), **more)


def test_metrics_agree_with_their_definitions_in_numpy() -> None:
    problem = Linear((2.0, -3.4), 4.2, 0.5, rows=23, val=17)
    clean = problem.draw(0, 3)
    data = Vertical(0.3, 10.0).apply(clean, problem.model, 0)
    rng = np.random.default_rng(0)
    losses = [*LOSSES, L2()]
    params = rng.normal(size=(4, 5, 3, 3))
    start = rng.normal(size=(5, 3, 3))
    outcome = evaluate_path(problem, data, losses, trajectory(params), start=start, tolerance=4.0)
    w_star = np.array([2.0, -3.4, 4.2])
    for lane, loss in enumerate(losses):
        rho = RHO[str(loss)]
        for r in range(3):
            for epoch in range(4):
                w = params[epoch, lane, r]
                train = data.train_x[r] @ w[:-1] + w[-1] - data.train_y[r]
                val = clean.val_x[r] @ w[:-1] + w[-1] - clean.val_y[r]
                at = epoch, lane, r
                assert outcome.histories["train_loss"][at] == pytest.approx(rho(train).mean(), rel=1e-12)
                assert outcome.histories["val_loss"][at] == pytest.approx(rho(val).mean(), rel=1e-12)
                assert outcome.histories["param_error"][at] == pytest.approx(
                    np.linalg.norm(w - w_star), rel=1e-12
                )
            w = params[-1, lane, r]
            at_w = clean.val_x[r] @ w[:-1] + w[-1] - clean.val_y[r]
            at_best = clean.val_x[r] @ w_star[:-1] + w_star[-1] - clean.val_y[r]
            excess = (at_w**2 / 2).mean() - (at_best**2 / 2).mean()
            assert outcome.finals["excess_risk"][lane, r] == pytest.approx(excess, rel=1e-12)
            near = np.linalg.norm(params[:, lane, r] - w_star, axis=-1) <= 4.0
            first = near.argmax() + 1 if near.any() else np.inf
            assert outcome.finals["epochs_to_tolerance"][lane, r] == first
    assert "val_median_abs_residual" not in outcome.finals
    assert not outcome.diverged.any()
    np.testing.assert_array_equal(outcome.params, params)


def test_the_median_residual_of_a_table_is_in_the_units_of_its_target() -> None:
    problem = Table(dataset="stackloss")
    data = problem.draw(0, 2)
    rng = np.random.default_rng(0)
    params = rng.normal(size=(1, 20, 2, 4))
    losses: list[Loss] = [L2()] * 20
    targets = {L2(): np.stack([ols(x, y) for x, y in zip(data.train_x, data.train_y, strict=True)])}
    outcome = evaluate_path(problem, data, losses, trajectory(params), targets=targets)
    for lane in range(20):
        for r in range(2):
            w = params[0, lane, r]
            residual = data.val_x[r] @ w[:-1] + w[-1] - data.val_y[r]
            expected = problem.target_scale * np.median(np.abs(residual))
            assert outcome.finals["val_median_abs_residual"][lane, r] == pytest.approx(expected, rel=1e-12)


def test_metrics_of_float32_models_are_computed_in_float64() -> None:
    problem = Linear(rows=9, val=5)
    data = problem.draw(0, 1)
    params = np.random.default_rng(0).normal(size=(1, 1, 1, 3))
    narrow = evaluate_path(problem, data, [L2()], trajectory(params, dtype=torch.float32))
    widened = evaluate_path(problem, data, [L2()], trajectory(params.astype(np.float32).astype(np.float64)))
    for metrics, expected in (
        (narrow.histories, widened.histories),
        (narrow.finals, widened.finals),
        ({"params": narrow.params}, {"params": widened.params}),
    ):
        for name, values in metrics.items():
            assert values.dtype == np.float64
            np.testing.assert_array_equal(values, expected[name])
    assert narrow.digests[0, 0, 0] != widened.digests[0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("start", "error", "diverged"),
    # 1,000 times the larger of 1 and the initial error.
    [
        (0.0, 1000.0, False),
        (0.0, 1000.5, True),
        (0.5, 1000.0, False),
        (0.5, 1000.5, True),
        (4.0, 4000.0, False),
        (4.0, 4000.5, True),
        (4.0, np.inf, True),
        (4.0, np.nan, True),
        (4.0, -np.inf, True),
        (0.0, 0.0, False),
        (1000.0, 3e5, False),
    ],
)
def test_a_model_diverged_if_its_error_exceeds_a_thousand_times_the_initial_error(
    start: float, error: float, diverged: bool, dtype: torch.dtype
) -> None:
    outcome = evaluate_errors([[[error]]], dtype, start=np.array([[[start, 0.0]]]))
    assert outcome.diverged.tolist() == [[[diverged]]]


def test_a_model_that_became_nonfinite_has_no_finite_metric() -> None:
    outcome = evaluate_errors([[[0.1, 0.1]], [[np.inf, 0.1]], [[np.nan, 0.1]]])
    for name in ("train_loss", "val_loss", "param_error"):
        metric = outcome.histories[name]
        assert not np.isfinite(metric[1:, 0, 0]).any()
        assert np.isfinite(metric[0]).all()
        assert np.isfinite(metric[:, 0, 1]).all()
    assert not np.isfinite(outcome.finals["excess_risk"][0, 0])


@pytest.mark.parametrize(
    ("errors", "tolerance", "epoch"),
    [
        ([0.3, 0.2, 0.1], 0.2, 2),
        ([0.3, 0.2, 0.1], 0.05, np.inf),
        ([0.3, 0.2, 0.1], 1.0, 1),
        ([0.3, 0.1, 0.3], 0.2, 2),
        ([0.1, np.nan, np.nan], 0.2, 1),
        ([np.nan, np.nan, np.nan], 0.2, np.inf),
    ],
)
def test_epochs_to_tolerance_is_the_first_epoch_within_tolerance(
    errors: list[float], tolerance: float, epoch: float
) -> None:
    outcome = evaluate_errors([[[error]] for error in errors], tolerance=tolerance)
    assert outcome.finals["epochs_to_tolerance"][0, 0] == epoch


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=40),
    st.sampled_from(["0.05", "0.5", "0.95", "0.25", "0.9", "1"]),
)
def test_the_nearest_rank_is_the_smallest_value_that_covers_its_fraction(
    values: list[float], q: str
) -> None:
    comparable = [np.inf if np.isnan(value) else value for value in values]
    needed = Fraction(q) * len(comparable)
    counts = {value: sum(smaller <= value for smaller in comparable) for value in comparable}
    expected = min(value for value, count in counts.items() if count >= needed)
    assert nearest_rank(np.array(values), float(q)) == expected


@pytest.mark.parametrize("n", range(1, 65))
def test_the_median_is_infinite_if_more_than_half_of_the_replicates_are(n: int) -> None:
    values = np.arange(float(n))
    values[: n // 2 + 1] = np.nan
    assert nearest_rank(values, 0.5) == np.inf
    values[: n // 2 + 1] = 0.0
    assert np.isfinite(nearest_rank(values, 0.5))


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 20))
def test_the_nearest_rank_reduces_the_last_axis(a: int, b: int, n: int) -> None:
    values = np.random.default_rng(a).normal(size=(a, b, n))
    before = values.copy()
    ranked = nearest_rank(values, 0.5)
    assert ranked.shape == (a, b)
    assert all(ranked[i, j] == nearest_rank(values[i, j], 0.5) for i in range(a) for j in range(b))
    np.testing.assert_array_equal(values, before)


@given(
    st.integers(1, 20),
    st.integers(1, 60),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(1, 3),
    st.data(),
)
def test_a_mean_loss_has_the_same_bits_for_any_selection_of_models(
    features: int, rows: int, lanes: int, epochs: int, replicates: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(features + rows)
    model = Affine(features)
    table = model.table(
        rng.normal(size=(replicates, rows, features)), rng.normal(size=(replicates, rows)), torch.float64
    )
    params = rng.normal(size=(epochs, lanes, replicates, features + 1))
    losses = [LOSSES[i % len(LOSSES)] for i in range(lanes)]
    together = mean_loss(model, table, losses, params)
    chosen = data.draw(st.lists(st.integers(0, lanes - 1), min_size=1, unique=True))
    first = data.draw(st.integers(1, replicates))
    epoch = data.draw(st.integers(0, epochs - 1))
    alone = mean_loss(
        model, table[:first].clone(), [losses[i] for i in chosen], params[epoch : epoch + 1, chosen, :first]
    )
    assert alone.tobytes() == together[epoch : epoch + 1, chosen, :first].tobytes()


@given(st.integers(1, 6), st.integers(1, 60), st.integers(0, 2**32), st.sampled_from([1e-6, 1.0, 1e6]))
def test_condensed_rows_have_the_same_mean_of_squares(
    features: int, rows: int, seed: int, outlier: float
) -> None:
    rng = np.random.default_rng(seed)
    model = Affine(features)
    x, y = rng.normal(size=(2, rows, features)), rng.normal(size=(2, rows))
    y[:, 0] *= outlier
    table = model.table(x, y, torch.float64)
    condensed = model.condensed(table)
    assert condensed.shape[1] <= features + 2
    params = rng.normal(size=(2, features + 1))
    squares = (model.predict(x, params) - y) ** 2
    condensed_squares = model.residual(condensed, model.state(torch.from_numpy(params[..., None]))) ** 2
    np.testing.assert_allclose(condensed_squares.mean(dim=(1, 2)), squares.mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize(
    "problem", [Table(dataset="stackloss"), Linear(rows=30, val=20), Planck()], ids=str
)
def test_metrics_have_the_same_bits_for_any_selection_of_models(problem: Problem) -> None:
    data, rng = problem.draw(0, 3), np.random.default_rng(0)
    size = problem.model.parameters
    params = 4000 * rng.uniform(size=(2, 20, 3, size))
    params[1, 3, 1], params[1, 5] = np.nan, np.inf
    losses = [LOSSES[i % 4] for i in range(20)]
    targets: dict[Loss, np.ndarray] = {loss: rng.normal(size=(3, size)) for loss in LOSSES}
    together = evaluate_path(problem, data, losses, trajectory(params), targets=targets)
    for chosen, replicates in (([7], 1), ([5, 3, 19, 0], 2), (list(range(19, -1, -1)), 3)):
        alone = evaluate_path(
            problem,
            prefix(data, replicates),
            [losses[i] for i in chosen],
            trajectory(params[:, chosen, :replicates]),
            targets={loss: w[:replicates] for loss, w in targets.items()},
        )
        arrays = {"diverged": together.diverged, "digests": together.digests, **together.histories}
        arrays_alone = {"diverged": alone.diverged, "digests": alone.digests, **alone.histories}
        for name, values in arrays.items():
            expected = values[:, chosen, :replicates]
            assert arrays_alone[name].tobytes() == np.ascontiguousarray(expected).tobytes()
        for name, values in together.finals.items():
            expected = values[chosen][:, :replicates]
            assert alone.finals[name].tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_digests_differ_if_any_bit_differs(dtype: torch.dtype) -> None:
    problem = Linear((0.0,), 0.0, rows=4, val=3)
    base = torch.tensor([1.0, 2.0], dtype=dtype)
    params = torch.stack(
        [
            base,
            base,
            torch.nextafter(base, 2 * base),
            base.flip(0),
            base * torch.tensor([1, 0]),
            base * 0,
            -base * 0,
        ]
    )
    outcome = evaluate_path(
        problem,
        problem.draw(0, 1),
        [L2()] * 7,
        Trajectory(params[None, :, None], np.zeros((7, 1), np.int64)),
    )
    digests = outcome.digests[0, :, 0].tolist()
    assert digests[0] == digests[1]
    assert len(set(digests)) == 6
    assert all(len(digest) == 16 for digest in digests)
