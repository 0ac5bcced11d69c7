"""The moments of SGD with replacement: edges of stability, the recursion and its fixed point."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from regress.fleet import Lane, Schedule, train
from regress.losses import L2
from regress.problems import Linear
from regress.problems.affine import Affine
from regress.theory import (
    hessian,
    mean_edge,
    mean_square_edge,
    normal_mean_square_edge,
    second_moment,
    stationary_covariance,
)

Floats = np.ndarray


def normal_moments(features: int) -> Floats:
    """Return rows z = (x, 1) with the moments of x ~ N(0, I) up to the fifth (Gauss-Hermite nodes)."""
    nodes = np.sqrt(3) * np.array([-1, 0, 0, 0, 0, 1])
    x = np.array(list(product(nodes, repeat=features)))
    return np.hstack([x, np.ones((len(x), 1))])


def some_rows(n: int, size: int, seed: int) -> tuple[Floats, Floats]:
    """Return rows z (n, P), some of large norm, and residuals of a least-squares fit on them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, size)) * rng.choice([1.0, 3.0], (n, 1)) + rng.normal(size=size)
    noise = rng.normal(size=n)
    return z, z @ np.linalg.lstsq(z, noise, rcond=None)[0] - noise


def linear_map(z: Floats, lr: float, batch_size: int) -> Floats:
    """Return S -> E (I - lr H_b) S (I - lr H_b) as a matrix (P^2, P^2), by Kronecker products."""
    n, size = z.shape
    h, eye = z.T @ z / n, np.eye(size)
    pairs = np.einsum("ni,nj->nij", z, z).reshape(n, -1)
    second = (1 - 1 / batch_size) * np.kron(h, h) + pairs.T @ pairs / (batch_size * n)
    return np.asarray(np.eye(size**2) - lr * (np.kron(h, eye) + np.kron(eye, h)) + lr**2 * second)


def spectral_radius(matrix: Floats) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


@given(
    size=st.integers(1, 4),
    extra=st.integers(0, 30),
    batch_size=st.sampled_from([1, 2, 8, 32]),
    seed=st.integers(0, 999),
)
def test_at_the_mean_square_edge_the_map_of_covariances_has_spectral_radius_one(
    size: int, extra: int, batch_size: int, seed: int
) -> None:
    z, _ = some_rows(size + extra, size, seed)
    edge = mean_square_edge(z, batch_size)
    assert spectral_radius(linear_map(z, edge, batch_size)) == pytest.approx(1, abs=1e-9)
    assert spectral_radius(linear_map(z, 0.9 * edge, batch_size)) < 1
    assert spectral_radius(linear_map(z, 1.1 * edge, batch_size)) > 1.0001
    assert edge <= mean_edge(z.T @ z / len(z)) * (1 + 1e-12)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_root_finding_gives_the_same_edge(batch_size: int) -> None:
    z, _ = some_rows(100, 3, 0)
    root = brentq(
        lambda lr: spectral_radius(linear_map(z, lr, batch_size)) - 1,
        1e-3 * (edge := mean_square_edge(z, batch_size)),
        2 * edge,
        xtol=1e-14,
    )
    assert edge == pytest.approx(root, rel=1e-10)


def test_the_mean_square_edge_approaches_the_mean_edge_for_large_batches() -> None:
    z, _ = some_rows(50, 3, 1)
    edges = [mean_square_edge(z, batch_size) for batch_size in (1, 2, 4, 32, 1024, 10**9)]
    assert edges == sorted(edges)
    assert edges[-1] == pytest.approx(mean_edge(z.T @ z / len(z)), rel=1e-6)


@pytest.mark.parametrize("size", [11, 30])
def test_the_lanczos_solver_gives_the_same_edge_as_the_dense_one(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, _ = some_rows(200, size, 2)
    edge = mean_square_edge(z, 32)
    monkeypatch.setattr("regress.theory.stability._DENSE", 10**6)
    assert mean_square_edge(z, 32) == pytest.approx(edge, rel=1e-12)


@pytest.mark.parametrize("columns", [4, 12])
def test_directions_orthogonal_to_all_rows_are_ignored(columns: int) -> None:
    z, residual = some_rows(40, 3, 3)
    rank_deficient = z @ np.random.default_rng(6).normal(size=(3, columns))
    row_space = np.linalg.svd(rank_deficient, full_matrices=False)[2][:3]  # an orthonormal basis, in rows
    coordinates = rank_deficient @ row_space.T
    with np.errstate(all="raise", under="ignore"):
        edge = mean_square_edge(rank_deficient, 8)
        covariance = stationary_covariance(rank_deficient, residual, edge / 2, 8)
    assert edge == pytest.approx(mean_square_edge(coordinates, 8), rel=1e-9)
    expected = stationary_covariance(coordinates, residual, edge / 2, 8)
    assert covariance is not None and expected is not None
    np.testing.assert_allclose(covariance, row_space.T @ expected @ row_space, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("batch_size", "edge"), [(32, 1.800), (1, 0.438)])
def test_the_population_s_mean_square_edge_agrees_with_recorded_values(
    batch_size: int, edge: float
) -> None:
    """The values come from iterating the recursion for the population with two features."""
    assert normal_mean_square_edge(2, batch_size) == pytest.approx(edge, abs=5e-4)


@pytest.mark.parametrize("features", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_rows_with_the_population_s_moments_have_the_population_s_edges(
    features: int, batch_size: int
) -> None:
    z = normal_moments(features)
    assert mean_edge(z.T @ z / len(z)) == pytest.approx(2, rel=1e-12)
    assert mean_square_edge(z, batch_size) == pytest.approx(
        normal_mean_square_edge(features, batch_size), rel=1e-12
    )


def test_the_edges_of_draws_of_a_thousand_rows_scatter_around_the_population_s() -> None:
    """30 other draws gave 1.71 to 2.00 in the mean, and 1.62 to 1.87 and .41 to .48 in the mean square."""
    problem = Linear(val=1)
    data = problem.draw(0, 30)
    z = np.concatenate([data.train_x, np.ones((30, 1000, 1))], axis=2)
    mean = [
        mean_edge(hessian(problem.model, L2(), x, y, np.zeros(3)))
        for x, y in zip(data.train_x, data.train_y, strict=True)
    ]
    ranges = [mean, [mean_square_edge(rows, 32) for rows in z], [mean_square_edge(rows, 1) for rows in z]]
    expected = [(1.71, 2.00), (1.62, 1.87), (0.41, 0.48)]
    for edges, (low, high) in zip(ranges, expected, strict=True):
        assert low - 0.03 < min(edges) < low + 0.06
        assert high - 0.03 < max(edges) < high + 0.03


def enumerate_moments(
    z: Floats, residual: Floats, start: Floats, lr: float, batch_size: int, steps: int
) -> tuple[Floats, Floats]:
    """Return E e and E ee' by enumerating all sequences of batches drawn with replacement."""
    batches = [np.array(rows) for rows in product(range(len(z)), repeat=batch_size)]
    ends = [start]
    for _ in range(steps):
        ends = [e - lr * z[b].T @ (z[b] @ e + residual[b]) / batch_size for e in ends for b in batches]
    errors = np.array(ends)
    return errors.mean(axis=0), errors.T @ errors / len(errors)


def test_the_recursion_agrees_with_enumeration_of_all_batches() -> None:
    z, residual = some_rows(4, 2, 5)
    start, lr = np.array([0.7, -0.3]), 0.02
    m, s = second_moment(z, residual, start, lr, 2, 3)
    assert m.shape == (4, 2) and s.shape == (4, 2, 2)
    for steps in range(4):
        mean, square = enumerate_moments(z, residual, start, lr, 2, steps)
        # The mean over 4,096 sequences has a larger rounding error.
        np.testing.assert_allclose(m[steps], mean, atol=1e-15 if steps < 3 else 5e-15, rtol=0)
        np.testing.assert_allclose(s[steps], square, atol=1e-15, rtol=0)


@given(
    size=st.integers(1, 4),
    batch_size=st.sampled_from([1, 4, 32]),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 999),
)
def test_a_step_does_not_change_the_stationary_covariance(
    size: int, batch_size: int, share: float, seed: int
) -> None:
    z, residual = some_rows(20, size, seed)
    lr = share * mean_square_edge(z, batch_size)
    covariance = stationary_covariance(z, residual, lr, batch_size)
    assert covariance is not None
    assert np.linalg.eigvalsh(covariance)[0] > 0
    noise = z.T @ (z * residual[:, None] ** 2) / (batch_size * len(z))
    mapped = (linear_map(z, lr, batch_size) @ covariance.ravel()).reshape(size, size)
    np.testing.assert_allclose(
        mapped + lr**2 * noise, covariance, rtol=1e-9, atol=1e-11 * np.trace(covariance)
    )


def test_the_recursion_converges_to_the_stationary_covariance() -> None:
    z, residual = some_rows(30, 3, 8)
    lr = 0.5 * mean_square_edge(z, 8)
    m, s = second_moment(z, residual, np.ones(3), lr, 8, 2000)
    np.testing.assert_allclose(m[-1], 0, atol=1e-12)
    np.testing.assert_allclose(s[-1], stationary_covariance(z, residual, lr, 8), rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_there_is_no_stationary_covariance_above_the_edge(batch_size: int) -> None:
    z, residual = some_rows(30, 3, 8)
    edge = mean_square_edge(z, batch_size)
    assert stationary_covariance(z, residual, 0.999 * edge, batch_size) is not None
    assert stationary_covariance(z, residual, 1.001 * edge, batch_size) is None
    assert stationary_covariance(z, residual, 5 * edge, batch_size) is None


@pytest.mark.parametrize(("lr", "trace"), [(0.03, 1.430e-7), (1.5, 4.14e-5)])
def test_the_population_s_stationary_error_agrees_with_recorded_values(lr: float, trace: float) -> None:
    """The values come from iterating the population's recursion with noise .01 and batches of 32."""
    z = normal_moments(2)
    # Each row has residuals of both signs, which are independent of the row like the population's noise.
    residual = np.repeat([0.01, -0.01], len(z))
    covariance = stationary_covariance(np.vstack([z, z]), residual, lr, 32)
    assert covariance is not None
    assert np.trace(covariance) == pytest.approx(trace, rel=1e-3)


def train_errors(lr: float, epochs: int, replicates: int) -> Floats:
    """Return e = w - w_ols (epochs, replicates, 3) of models trained on ROWS, drawn with replacement."""
    model = Affine(2)
    x, y = ROWS[:, :2], ROWS @ OPTIMUM - RESIDUAL
    table = model.table(x[None], y[None], torch.float64).expand(replicates, -1, -1)
    orders = np.random.default_rng(0).integers(0, len(x), (replicates, epochs, len(x)))
    start = np.broadcast_to(OPTIMUM + START, (1, replicates, 3))
    lanes, schedule = [Lane(L2(), lr)], Schedule(BATCH, "mean", "drop")
    trajectory = train(model, table, orders, start, lanes, schedule)
    return np.asarray(trajectory.params[:, 0].numpy() - OPTIMUM)


ROWS = np.hstack([np.random.default_rng(4).normal(size=(70, 2)), np.ones((70, 1))])
RESIDUAL = (np.eye(70) - ROWS @ np.linalg.pinv(ROWS)) @ np.random.default_rng(5).normal(size=70)
OPTIMUM, START = np.array([2.0, -3.4, 4.2]), np.array([1.0, -1.0, 2.0])
BATCH, STEPS = 16, 4  # the last 6 of an epoch's 70 rows are dropped


def test_training_with_replacement_follows_the_recursion() -> None:
    lr = 0.3
    errors = train_errors(lr, epochs=24, replicates=3000)
    m, s = second_moment(ROWS, RESIDUAL, START, lr, BATCH, 24 * STEPS)
    square = (errors**2).sum(axis=2)
    for epoch in (1, 2, 3, 24):
        at = epoch * STEPS
        deviation = square[epoch - 1].std() / np.sqrt(3000)
        assert square[epoch - 1].mean() == pytest.approx(np.trace(s[at]), abs=4 * deviation)
        np.testing.assert_allclose(errors[epoch - 1].mean(axis=0), m[at], atol=0.02)
    covariance = stationary_covariance(ROWS, RESIDUAL, lr, BATCH)
    assert covariance is not None
    assert square[-12:].mean() == pytest.approx(np.trace(covariance), rel=0.01)


def test_training_converges_below_the_mean_square_edge_and_diverges_above() -> None:
    edge = mean_square_edge(ROWS, BATCH)
    assert 1.1 * edge < mean_edge(ROWS.T @ ROWS / len(ROWS))  # both learning rates are stable in the mean
    below, above = (
        (train_errors(share * edge, epochs=12, replicates=2000) ** 2).sum(axis=2).mean(axis=1)
        for share in (0.9, 1.1)
    )
    covariance = stationary_covariance(ROWS, RESIDUAL, 0.9 * edge, BATCH)
    assert covariance is not None
    assert below[3:].mean() == pytest.approx(np.trace(covariance), rel=0.1)
    _, s = second_moment(ROWS, RESIDUAL, START, 1.1 * edge, BATCH, STEPS)
    assert above[0] == pytest.approx(np.trace(s[-1]), rel=0.1)
    # Fewer and fewer models dominate the expectation, so that a sample's mean grows more slowly.
    assert above[-1] > 100 * above[0]
