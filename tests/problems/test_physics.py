"""Ohm's and Planck's laws: agreement with physical constants and autograd, training, divergence."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from regress.contaminations import Single
from regress.errors import InputError
from regress.fleet import Lane, Schedule, train
from regress.losses import L1, L2, Huber, Loss
from regress.orders import ORDERS, Sequential, Shuffled, WithReplacement
from regress.problems import Model, Ohm, Planck, Problem
from regress.problems.affine import Affine
from regress.problems.planck import PlanckModel, radiance
from regress.study import Study

# CODATA 2018. The tolerance of 1e-7 is due to the truncated value of h in `radiance`.
WIEN = 2.897771955e-3  # m K
STEFAN_BOLTZMANN = 5.670374419e-8  # W m-2 K-4

PROBLEMS = [
    Ohm(rows=70, val=20),
    Ohm(rows=70, val=20, intercept=False),
    Planck(),
    Planck(form="scaled"),
]


def initial_value(problem: Problem) -> float:
    return 4000.0 if isinstance(problem, Planck) else 0.5


def learning_rate(problem: Problem) -> float:
    return 1e-21 if isinstance(problem, Planck) and problem.form == "raw" else 0.03


@pytest.mark.parametrize("temperature", [800.0, 3000.0, 5020.0, 12000.0])
def test_radiance_agrees_with_wien_s_displacement_law(temperature: float) -> None:
    expected = WIEN / temperature
    result = minimize_scalar(
        lambda log: -radiance(np.exp(log), temperature),
        bounds=(np.log(expected / 3), np.log(expected * 3)),
        method="bounded",
        options={"xatol": 1e-12},
    )
    assert np.exp(result.x) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("temperature", [300.0, 5020.0])
def test_the_integral_of_radiance_agrees_with_the_stefan_boltzmann_law(temperature: float) -> None:
    # In x = b / lambda the integrand is smooth and bounded.
    total, _ = quad(
        lambda x: radiance(np.array(WIEN / temperature / x), temperature) * WIEN / temperature / x**2,
        1e-3,
        40,
        epsrel=1e-10,
        limit=200,
    )
    assert np.pi * total == pytest.approx(STEFAN_BOLTZMANN * temperature**4, rel=1e-7)


def test_the_radiance_of_a_cold_body_is_zero_instead_of_nan() -> None:
    assert radiance(np.array([300e-9]), 1.0).item() == 0.0


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_pullback_agrees_with_autograd(problem: Problem) -> None:
    model = problem.model
    data = problem.draw(3, 2)
    rows = model.table(data.train_x[:, ::7], data.train_y[:, ::7], torch.float64)
    draws = np.random.default_rng(0).normal(size=(2, 5, model.draws))
    start = model.start(np.full((2, 5), initial_value(problem)) * np.linspace(0.8, 1.5, 5), draws)
    state = model.state(torch.from_numpy(start).transpose(1, 2))
    psi = torch.from_numpy(np.random.default_rng(1).normal(size=(2, rows.shape[1], 5)))
    in_closed_form = model.pullback(rows, state, psi)
    by_autograd = Model.pullback(model, rows, state, psi)
    assert torch.allclose(in_closed_form, by_autograd, rtol=1e-10, atol=0)


def train_models(problem: Problem, lanes: list[Lane], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    model = problem.model
    data = problem.draw(0, 2)
    order = Shuffled().permutations(data, model, 0, 2, 32)
    sigmas = np.full((len(lanes), 2), initial_value(problem))
    draws = np.ones((len(lanes), 2, model.draws))
    rows = model.table(data.train_x, data.train_y, dtype)
    schedule = Schedule(32, "mean", "keep")
    return train(model, rows, order, model.start(sigmas, draws), lanes, schedule).params


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@given(count=st.integers(2, 40), seed=st.integers(0, 2**32))
def test_a_model_has_the_same_bits_alone_and_with_others(problem: Problem, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    losses: list[Loss] = [L2(), L1(), Huber(1.0)]
    lanes = [
        Lane(losses[random.integers(3)], learning_rate(problem) * random.uniform(0.1, 2))
        for _ in range(count)
    ]
    lanes[0] = Lane(L2(), learning_rate(problem) * 1e8)  # diverges
    lane = int(random.integers(count))
    together = train_models(problem, lanes)[:, lane]
    alone = train_models(problem, [lanes[lane]])[:, 0]
    assert together.numpy().tobytes() == alone.numpy().tobytes()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_all_orders_permute_the_rows(problem: Problem) -> None:
    data = problem.draw(0, 2)
    for cls in set(ORDERS.values()) - {WithReplacement}:
        order = cls().permutations(data, problem.model, 0, 2, 32)
        assert (np.sort(order, axis=-1) == np.arange(data.rows)).all()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_replicates_depend_on_their_index_only(problem: Problem) -> None:
    data, last = problem.draw(7, 5), problem.draw(7, 2, first=3)
    assert (data.train_y[3:] == last.train_y).all()
    assert list(last.indices) == [3, 4]


def full_batch_slope(x: list[float], y: list[float], lr: float, epochs: int) -> float:
    """Return the slope through the origin after full-batch gradient descent in float64."""
    model = Affine(1, intercept=False)
    rows = model.table(np.array(x)[None, :, None], np.array(y)[None], torch.float64)
    order = np.broadcast_to(np.arange(len(x)), (1, epochs, len(x)))
    schedule = Schedule(len(x), "mean", "keep")
    return float(train(model, rows, order, np.zeros((1, 1, 1)), [Lane(L2(), lr)], schedule).params[-1])


def test_training_reaches_the_certified_slope_of_nist_noint1() -> None:
    # NIST StRD, NoInt1: certified slope of a line through the origin.
    slope = full_batch_slope(list(range(60, 71)), list(range(130, 141)), 1e-4, 200)
    assert slope == pytest.approx(2.07438016528926, abs=1e-10)


def test_training_reaches_the_certified_slope_of_nist_noint2() -> None:
    # NIST StRD, NoInt2.
    slope = full_batch_slope([4, 5, 6], [3, 4, 4], 0.02, 200)
    assert slope == pytest.approx(0.727272727272727, abs=1e-10)


@pytest.mark.parametrize(("temperature", "lr"), [(4000.0, 0.2), (5020.0, 0.1), (9000.0, 0.1)])
def test_training_recovers_the_temperature(temperature: float, lr: float) -> None:
    problem = Planck(temperature=temperature, noise=0.0, form="scaled")
    data = problem.draw(0, 1)
    model = problem.model
    rows = model.table(data.train_x, data.train_y, torch.float64)
    start = model.start(np.full((1, 1), 0.8 * temperature), np.zeros((1, 1, 0)))
    order = Sequential().permutations(data, model, 0, 150, 32)
    params = train(model, rows, order, start, [Lane(L2(), lr)], Schedule(32, "mean", "keep")).params
    assert problem.in_user_units(params[-1].numpy()).item() == pytest.approx(temperature, rel=1e-6)
    assert np.exp(model.least_squares(data.train_x[0], data.train_y[0])) == pytest.approx(
        temperature, rel=1e-9
    )


@pytest.mark.parametrize("form", ["raw", "scaled"])
def test_an_invalid_temperature_is_recorded_as_divergence(form: str) -> None:
    problem = Planck(form=form)  # type: ignore[arg-type]
    model = problem.model
    data = problem.draw(0, 1)
    rows = model.table(data.train_x, data.train_y, torch.float32)
    # The first step makes the temperature negative, or its logarithm too large for a finite radiance.
    unstable = Lane(L2(), 1e-18 if form == "raw" else 1e9)
    start = model.start(np.full((1, 1), 9000.0), np.zeros((1, 1, 0)))
    order = Sequential().permutations(data, model, 0, 2, 32)
    trajectory = train(model, rows, order, start, [unstable], Schedule(32, "mean", "keep"))
    assert trajectory.first_nonfinite.item() == 2
    assert not torch.isfinite(trajectory.params).any()


def test_a_negative_wavelength_is_recorded_as_divergence() -> None:
    problem = Planck()
    data = problem.draw(0, 1)
    x = data.train_x.copy()
    x[0, 4] = -500e-9
    model = PlanckModel(is_scaled=False, unit=1.0)
    rows = model.table(x, data.train_y, torch.float32)
    start = model.start(np.full((1, 1), 3000.0), np.zeros((1, 1, 0)))
    order = Sequential().permutations(data, model, 0, 1, 32)
    trajectory = train(model, rows, order, start, [Lane(L2(), 1e-21)], Schedule(32, "mean", "keep"))
    assert trajectory.first_nonfinite.item() == 1


@pytest.mark.filterwarnings("error")
def test_an_outlier_that_overflows_float32_is_recorded_as_divergence() -> None:
    problem = Planck()
    data = Single(row=5, value=10000.0).apply(problem.draw(0, 1), problem.model, 0)
    model = problem.model
    rows = model.table(data.train_x, data.train_y, torch.float32)
    start = model.start(np.full((1, 1), 3000.0), np.zeros((1, 1, 0)))
    order = Sequential().permutations(data, model, 0, 1, 32)
    trajectory = train(model, rows, order, start, [Lane(L2(), 1e-21)], Schedule(32, "mean", "keep"))
    assert trajectory.first_nonfinite.item() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"problem": "planck(temperature=0)", "sigmas": [3000]}, "greater than 0"),
        ({"problem": "planck(temperature=-5)", "sigmas": [3000]}, "greater than 0"),
        ({"problem": "planck", "sigmas": [3000, 0]}, "0 is no initial temperature in kelvin"),
        ({"problem": "planck(form=log)", "sigmas": [3000]}, "'raw' or 'scaled'"),
        ({"problem": "ohm(noise=-1)"}, "greater than or equal to 0"),
    ],
)
def test_physically_impossible_arguments_are_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Study(**{"name": "physics", **fields})
