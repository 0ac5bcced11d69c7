"""The fleet: a lane has the same bits whatever is trained with it, and follows a plain training loop."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.estimators.optimum import ols
from regress.fleet import Lane, Schedule, Trajectory, general, train
from regress.fleet.compiled import load_engine
from regress.losses import L1, L2, LOSSES, Huber, Loss, SmoothL1
from regress.problems import Model, Planck, Table
from regress.problems.affine import Affine
from tests.helpers import UncompiledHuber, UncompiledLogCosh

Arguments = dict[str, Any]

TORCH_S: tuple[Loss, ...] = (L2(), L1(), Huber(0.7), SmoothL1(0.5))
OTHERS = tuple(cls() for cls in LOSSES.values() if cls not in map(type, TORCH_S))
# The last two have no scalar form, and are trained by torch.
ALL_LOSSES = (*TORCH_S, Huber(2.0), *OTHERS, UncompiledHuber(0.7), UncompiledLogCosh())
LOSS = st.sampled_from(ALL_LOSSES)
LR = st.sampled_from([1e-3, 0.03, 0.1, 0.5, 9.0])
TAILS = ("weight", "keep", "drop")


def affine(
    features: int, rows: int, replicates: int, lanes: Sequence[Lane], schedule: Schedule, **overrides: Any
) -> Arguments:
    """Return arguments of `train` for an affine model on random rows."""
    options = {"epochs": 2, "dtype": torch.float32, "seed": 0, "intercept": True} | overrides
    rng = np.random.default_rng(options["seed"])
    model = Affine(features, options["intercept"])
    x, y = rng.normal(size=(replicates, rows, features)), rng.normal(size=(replicates, rows))
    orders = [[rng.permutation(rows) for _ in range(options["epochs"])] for _ in range(replicates)]
    return {
        "model": model,
        "rows": model.table(x, y, options["dtype"]),
        "orders": np.array(orders),
        "start": rng.normal(size=(len(lanes), replicates, model.parameters)),
        "lanes": list(lanes),
        "schedule": schedule,
    }


@st.composite
def fleets(draw: st.DrawFn) -> Arguments:
    """Draw arguments of `train` for a small fleet on an affine model."""
    rows = draw(st.integers(1, 45))
    schedule = Schedule(
        draw(st.integers(1, rows)), draw(st.sampled_from(["mean", "sum"])), draw(st.sampled_from(TAILS))
    )
    return affine(
        draw(st.integers(1, 20)),
        rows,
        draw(st.integers(1, 4)),
        draw(st.lists(st.builds(Lane, LOSS, LR), min_size=1, max_size=40)),
        schedule,
        epochs=draw(st.integers(1, 2)),
        dtype=draw(st.sampled_from([torch.float32, torch.float64])),
        seed=draw(st.integers(0, 99)),
        intercept=draw(st.booleans()),
    )


def planck(form: str, dtype: torch.dtype) -> Arguments:
    """Return arguments of `train` for twenty lanes on Planck's law, some of which become non-finite."""
    problem = Planck(form=form)
    data, lr = problem.draw(0, 3), {"raw": 1e-21, "scaled": 0.03}[form]
    lanes = [Lane(loss, lr * 10**power) for loss in (L2(), L1()) for power in (-1, 0, 1, 2, 9)] * 2
    rng = np.random.default_rng(0)
    return {
        "model": problem.model,
        "rows": problem.model.table(data.train_x, data.train_y, dtype)[:, :77],
        "orders": np.array([[rng.permutation(77)] for _ in range(3)]),
        "start": problem.model.parameter(rng.uniform(3000, 6000, (20, 3, 1))),
        "lanes": lanes,
        "schedule": Schedule(10, "mean", "weight"),
    }


def part(arguments: Arguments, lanes: Sequence[int], replicates: int | None = None) -> Arguments:
    """Return the arguments restricted to some lanes, in that order, and to the first replicates."""
    return arguments | {
        "rows": arguments["rows"][:replicates].clone(),
        "orders": arguments["orders"][:replicates],
        "start": arguments["start"][list(lanes), :replicates],
        "lanes": [arguments["lanes"][i] for i in lanes],
    }


def bits(trajectory: Trajectory, lanes: Sequence[int] | None = None, replicates: int | None = None) -> Any:
    """Return the bytes of some lanes' parameters, and their first non-finite steps."""
    chosen = list(range(trajectory.params.shape[1])) if lanes is None else list(lanes)
    params = trajectory.params[:, chosen, :replicates].contiguous().numpy().tobytes()
    return params, trajectory.first_nonfinite[chosen, :replicates].tolist()


@given(fleets(), st.data())
def test_a_lane_has_the_same_bits_with_any_other_lanes(arguments: Arguments, data: st.DataObject) -> None:
    count, replicates = arguments["start"].shape[:2]
    trained = train(**arguments)
    lanes = data.draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    first = data.draw(st.integers(1, replicates))
    assert bits(train(**part(arguments, lanes, first))) == bits(trained, lanes, first)


@given(fleets(), st.data())
def test_a_lane_has_the_same_bits_alone(arguments: Arguments, data: st.DataObject) -> None:
    lane = data.draw(st.integers(0, len(arguments["lanes"]) - 1))
    assert bits(train(**part(arguments, [lane]))) == bits(train(**arguments), [lane])


@given(fleets(), st.lists(LR, min_size=1, max_size=20), LOSS)
def test_adding_learning_rates_changes_no_other_lane(
    arguments: Arguments, lrs: list[float], loss: Loss
) -> None:
    count, replicates, size = arguments["start"].shape
    rng = np.random.default_rng(1)
    with_more_lanes = arguments | {
        "lanes": [Lane(loss, lr) for lr in lrs] + arguments["lanes"],
        "start": np.concatenate([rng.normal(size=(len(lrs), replicates, size)), arguments["start"]]),
    }
    original_lanes = [len(lrs) + i for i in range(count)]
    assert bits(train(**with_more_lanes), original_lanes) == bits(train(**arguments))


@given(fleets(), st.integers(1, 200))
def test_the_number_of_residuals_computed_at_once_changes_nothing(
    arguments: Arguments, residuals: int
) -> None:
    expected = bits(train(**arguments))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(general, "_RESIDUALS", residuals)
        assert bits(train(**arguments)) == expected


@given(fleets())
def test_both_engines_agree_to_rounding(arguments: Arguments) -> None:
    dtype = arguments["rows"].dtype
    compiled = train(**arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regress.fleet.engines.load_engine", lambda *_: None)
        by_torch = train(**arguments)
    is_stable = np.array([lane.lr <= 0.1 for lane in arguments["lanes"]])
    if arguments["schedule"].reduction == "sum" or not is_stable.any():
        return  # beyond the edge of stability, rounding differences grow without bound
    # Where psi jumps, a residual close to 0 may have either sign.
    is_continuous = np.array([lane.loss.name not in ("l1", "quantile") for lane in arguments["lanes"]])
    chosen = np.flatnonzero(is_stable & is_continuous)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(
        compiled.params[:, chosen], by_torch.params[:, chosen], rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
@pytest.mark.parametrize("features", [1, 13])
def test_both_engines_agree_for_each_loss(loss: Loss, features: int) -> None:
    lanes = [Lane(loss, lr) for lr in (1e-3, 0.02)]
    arguments = affine(
        features, 150, 3, lanes, Schedule(70, "mean", "weight"), dtype=torch.float64, epochs=3
    )
    compiled = train(**arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regress.fleet.engines.load_engine", lambda *_: None)
        by_torch = train(**arguments)
    torch.testing.assert_close(compiled.params, by_torch.params, rtol=1e-12, atol=1e-12)
    engine = load_engine(arguments["model"], loss, np.dtype(np.float64), "psi")
    assert (engine is None) == (loss.scalar_form is None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_a_lane_on_planck_s_law_has_the_same_bits_with_any_other_lanes(
    form: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = planck(form, dtype)
    trained = train(**arguments)
    assert len(set(trained.first_nonfinite.ravel())) > 1
    for lanes, replicates in (([0], 1), ([13, 4, 7], 2), (list(range(19, -1, -1)), 3), ([9], 3)):
        assert bits(train(**part(arguments, lanes, replicates))) == bits(trained, lanes, replicates)
    for residuals in (1, 450):
        monkeypatch.setattr(general, "_RESIDUALS", residuals)
        assert bits(train(**arguments)) == bits(trained)


WIDE = {
    "features": 50,
    "rows": 200,
    "replicates": 6,
    "lanes": [Lane(loss, lr) for loss in ALL_LOSSES for lr in (1e-3, 0.01, 0.03, 0.1)],
    "schedule": Schedule(32, "mean", "keep"),
}


def test_a_lane_with_fifty_features_has_the_same_bits_alone() -> None:
    arguments = affine(**WIDE)
    trained = train(**arguments)
    for lane in (0, 7, 19):
        assert bits(train(**part(arguments, [lane], 2))) == bits(trained, [lane], 2)


@pytest.mark.parametrize("arguments", [affine(**WIDE), planck("scaled", torch.float32)])
def test_training_in_two_threads_changes_nothing(arguments: Arguments) -> None:
    expected = bits(train(**arguments))
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(train, **arguments) for _ in range(6)]
        assert all(bits(future.result()) == expected for future in futures)


@pytest.mark.parametrize("arguments", [affine(**WIDE), planck("scaled", torch.float32)])
def test_the_number_of_torch_s_threads_changes_nothing(arguments: Arguments) -> None:
    expected = bits(train(**arguments))
    torch.set_num_threads(2)
    try:
        assert bits(train(**arguments)) == expected
    finally:
        torch.set_num_threads(1)


class MeanOrSum(torch.nn.Module):
    """A loss that torch does not have: rho, which autograd differentiates, so that psi is not used."""

    def __init__(self, loss: Loss, reduction: str) -> None:
        super().__init__()
        self.loss, self.reduction = loss, reduction

    def forward(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        rho = self.loss.rho(prediction - y)
        return rho.mean() if self.reduction == "mean" else rho.sum()


MODULES: dict[str, Callable[[Any, str], torch.nn.Module]] = {
    "l2": lambda loss, reduction: torch.nn.MSELoss(reduction=reduction),
    "l1": lambda loss, reduction: torch.nn.L1Loss(reduction=reduction),
    "huber": lambda loss, reduction: torch.nn.HuberLoss(reduction=reduction, delta=loss.delta),
    "smooth-l1": lambda loss, reduction: torch.nn.SmoothL1Loss(reduction=reduction, beta=loss.beta),
    **{loss.name: MeanOrSum for loss in OTHERS},
}


def plain_loop(arguments: Arguments, lane: int, replicate: int) -> tuple[torch.Tensor, int]:
    """Train one lane by torch.optim; return parameters at epoch ends and the first non-finite step or 0."""
    schedule, table = arguments["schedule"], arguments["rows"][replicate]
    parameters = arguments["model"].parameters
    x, y = table[:, :parameters], -table[:, -1]
    loss_value, lr = arguments["lanes"][lane].loss, arguments["lanes"][lane].lr
    module = MODULES[loss_value.name](loss_value, schedule.reduction)
    w = torch.tensor(arguments["start"][lane, replicate], dtype=table.dtype, requires_grad=True)
    optimiser = torch.optim.SGD([w], lr=lr)
    path, step = [], 0
    for order in torch.from_numpy(arguments["orders"][replicate].copy()):
        for batch in order.split(schedule.batch_size):
            if len(batch) < schedule.batch_size and schedule.tail == "drop":
                continue
            step += 1
            loss = module(x[batch] @ w, y[batch])
            if loss_value.name == "l2":
                loss = loss / 2
            if schedule.tail == "weight" and schedule.reduction == "mean":
                loss = loss * len(batch) / schedule.batch_size
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if not w.isfinite().all():
                stopped = w.detach().clone()
                return torch.stack(
                    path + [stopped] * (len(arguments["orders"][replicate]) - len(path))
                ), step
        path.append(w.detach().clone())
    return torch.stack(path), 0


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", [*TORCH_S, *OTHERS], ids=str)
@pytest.mark.parametrize("batch_size", [1, 8, 21])
def test_a_lane_agrees_with_a_plain_training_loop(
    loss: Loss, reduction: str, tail: str, batch_size: int
) -> None:
    lanes = [Lane(loss, lr) for lr in (1e-3, 0.02)]
    schedule = Schedule(batch_size, reduction, tail)  # type: ignore[arg-type]
    arguments = affine(3, 21, 2, lanes, schedule, dtype=torch.float64)
    trained = train(**arguments)
    assert not trained.first_nonfinite.any()
    for lane in range(2):
        for replicate in range(2):
            path, _ = plain_loop(arguments, lane, replicate)
            torch.testing.assert_close(trained.params[:, lane, replicate], path, rtol=1e-10, atol=1e-10)


def test_all_losses_are_compared_with_torch() -> None:
    assert set(MODULES) == set(LOSSES) == {loss.name for loss in ALL_LOSSES}


@pytest.mark.parametrize(
    ("tail", "reduction", "steps"),
    [
        ("weight", "mean", [(4, 4.0), (4, 4.0), (2, 4.0)]),
        ("keep", "mean", [(4, 4.0), (4, 4.0), (2, 2.0)]),
        ("drop", "mean", [(4, 4.0), (4, 4.0)]),
        ("weight", "sum", [(4, 1.0), (4, 1.0), (2, 1.0)]),
        ("keep", "sum", [(4, 1.0), (4, 1.0), (2, 1.0)]),
        ("drop", "sum", [(4, 1.0), (4, 1.0)]),
    ],
)
def test_ten_rows_in_batches_of_four(tail: str, reduction: str, steps: list[tuple[int, float]]) -> None:
    batches = Schedule(4, reduction, tail).steps(10)  # type: ignore[arg-type]
    assert [(rows.stop - rows.start, divisor) for rows, divisor in batches] == steps
    covered = [i for rows, _ in batches for i in range(rows.start, rows.stop)]
    assert covered == list(range(8 if tail == "drop" else 10))


@pytest.mark.parametrize("tail", TAILS)
@given(rows=st.integers(1, 200), batch_size=st.integers(1, 200))
def test_steps_cover_rows_in_order(tail: str, rows: int, batch_size: int) -> None:
    batches = Schedule(batch_size, "mean", tail).steps(rows)  # type: ignore[arg-type]
    covered = [i for batch, _ in batches for i in range(batch.start, batch.stop)]
    assert covered == list(range(rows - rows % batch_size if tail == "drop" else rows))


DIVERGING = [Lane(L2(), 0.01), Lane(L2(), 50.0), Lane(L2(), 0.1), Lane(L1(), 0.1), Lane(L2(), 500.0)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_lane_that_overflows_stops_at_its_step(dtype: torch.dtype) -> None:
    arguments = affine(2, 30, 2, DIVERGING, Schedule(1, "mean", "weight"), epochs=12, dtype=dtype)
    trained = train(**arguments)
    for lane in range(len(DIVERGING)):
        for replicate in range(2):
            path, step = plain_loop(arguments, lane, replicate)
            assert trained.first_nonfinite[lane, replicate] == step
            assert (step > 0) == (lane in (1, 4))
            is_finite = trained.params[:, lane, replicate].isfinite().all(dim=-1)
            assert torch.equal(is_finite, path.isfinite().all(dim=-1))


def test_a_lane_that_overflowed_is_not_updated_again() -> None:
    full_batch = Schedule(30, "mean", "weight")
    arguments = affine(2, 30, 3, DIVERGING, full_batch, epochs=60)
    trained = train(**arguments)
    for lane in (1, 4):
        for replicate in range(3):
            stopped = int(trained.first_nonfinite[lane, replicate])
            path = trained.params[:, lane, replicate]
            assert 1 < stopped < 50
            assert path[: stopped - 1].isfinite().all()
            assert not path[stopped - 1].isfinite().all()
            assert {epoch.numpy().tobytes() for epoch in path[stopped - 1 :]} == {
                path[stopped - 1].numpy().tobytes()
            }


def test_a_lane_that_overflows_changes_no_other_lane() -> None:
    arguments = affine(2, 30, 3, DIVERGING, Schedule(1, "mean", "weight"), epochs=12)
    stable = [0, 2, 3]
    assert bits(train(**part(arguments, stable))) == bits(train(**arguments), stable)


def test_a_loss_that_overflows_does_not_stop_a_lane() -> None:
    # Squares of residuals of 1e25 are beyond the range of float32, but the parameters stay finite.
    lanes = [Lane(L2(), 1e-3), Lane(L1(), 1e-3)]
    arguments = affine(2, 8, 1, lanes, Schedule(4, "mean", "weight"))
    arguments["start"] = np.full((2, 1, 3), 1e25)
    trained = train(**arguments)
    assert not trained.first_nonfinite.any()
    assert trained.params.isfinite().all()


def test_an_unstable_lane_overflows_after_a_hundred_steps() -> None:
    # At lr 3 in float32 the parameters overflow at step 113.
    arguments = affine(2, 1000, 16, [Lane(L2(), 3.0)], Schedule(32, "mean", "weight"), epochs=5)
    trained = train(**arguments)
    assert 100 < np.median(trained.first_nonfinite) < 150


def test_full_batches_of_squared_loss_reach_least_squares() -> None:
    table = Table(dataset="stackloss")
    columns, model = table.columns, table.model
    x = ((columns.x - columns.x.mean(axis=0)) / columns.x.std(axis=0))[None]
    y = ((columns.y - columns.y.mean()) / columns.y.std())[None]
    epochs, n = 500, y.shape[1]
    trained = train(
        model,
        model.table(x, y, torch.float64),
        np.broadcast_to(np.arange(n), (1, epochs, n)),
        np.zeros((1, 1, model.parameters)),
        [Lane(L2(), 0.6)],
        Schedule(n, "mean", "weight"),
    )
    reached = table.in_user_units(trained.params[-1, 0, 0].numpy())
    np.testing.assert_allclose(reached, ols(columns.x, columns.y), rtol=0, atol=1e-6)
    # The published least squares fit.
    np.testing.assert_allclose(reached, [0.71564, 1.29529, -0.15212, -39.91967], rtol=0, atol=1e-5)


@given(st.integers(1, 5), st.integers(1, 3))
def test_an_epoch_without_full_batches_leaves_the_initial_parameters(
    features: int, replicates: int
) -> None:
    arguments = affine(features, 3, replicates, [Lane(L2(), 0.1)], Schedule(4, "mean", "drop"))
    trained = train(**arguments)
    expected = torch.from_numpy(arguments["start"]).to(torch.float32)
    assert torch.equal(trained.params[-1], expected)
    assert not trained.first_nonfinite.any()


def test_training_does_not_change_its_arguments() -> None:
    arguments = affine(2, 30, 3, DIVERGING, Schedule(4, "mean", "weight"))
    expected = affine(2, 30, 3, DIVERGING, Schedule(4, "mean", "weight"))
    train(**arguments)
    assert torch.equal(arguments["rows"], expected["rows"])
    for name in ("orders", "start"):
        np.testing.assert_array_equal(arguments[name], expected[name])


@pytest.mark.parametrize("shape", [(5, 3, 2), (4, 3, 3), (5, 2, 3), (3, 3)])
def test_initial_parameters_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    arguments = affine(2, 30, 3, DIVERGING, Schedule(4, "mean", "weight"))
    with pytest.raises(ValueError, match="start has shape"):
        train(**arguments | {"start": np.zeros(shape)})


@pytest.mark.parametrize("index", [-1, 30])
def test_an_order_with_an_index_outside_the_rows_is_refused(index: int) -> None:
    arguments = affine(2, 30, 3, DIVERGING, Schedule(4, "mean", "weight"))
    arguments["orders"][1, 0, 7] = index
    with pytest.raises(ValueError, match="outside the 30 rows"):
        train(**arguments)


def test_a_model_without_a_pullback_is_trained_by_autograd() -> None:
    arguments = affine(
        3, 21, 2, [Lane(Huber(0.7), 0.02)], Schedule(5, "mean", "weight"), dtype=torch.float64
    )

    class Differentiated(Affine):
        pullback = Model.pullback

    by_autograd = train(**arguments | {"model": Differentiated(3)})
    torch.testing.assert_close(by_autograd.params, train(**arguments).params, rtol=1e-12, atol=1e-12)
