"""Reference estimators: optimality, published values, metrics and failed fits."""

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regress.comparison import Best, compare_with_references, relative_efficiency
from regress.contaminations import Clean, Contamination, Single, Vertical
from regress.estimators import references as module
from regress.estimators.optimum import converged_fit
from regress.estimators.published import NIST, STACKLOSS, PublishedCheck, check_published_fits
from regress.estimators.references import (
    DELTA,
    HUBER_M,
    LAD,
    OLS,
    Estimator,
    Reference,
    estimators,
    fit,
    fit_references,
)
from regress.losses import L1
from regress.problems import Data, Linear, Ohm, Planck, Problem, Table
from regress.problems.affine import Affine
from regress.study import Study
from tests.comparison.test_comparison import summary
from tests.helpers import execute, prefix

AFFINE = (OLS, LAD, HUBER_M)
CLEAN = Clean()
MAD = 0.6744897501960817  # of a standard normal variable


def estimator_name(estimator: Estimator) -> str:
    return estimator.name


def heavy_tailed(rows: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    return x, x @ rng.normal(size=features) + rng.standard_t(2, size=rows)


def with_ones(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.ones(len(x))])


def estimate(estimator: Estimator, x: np.ndarray, y: np.ndarray, *, intercept: bool = True) -> np.ndarray:
    fitted = fit(estimator, Affine(x.shape[1], intercept), x, y)
    assert fitted.failure is None
    return fitted.params


def fit_by_name(
    problem: Problem, contamination: Contamination = CLEAN, replicates: int = 3
) -> dict[str, Reference]:
    """Return the reference fits to a problem by the names of their estimators."""
    clean = problem.draw(0, replicates)
    data = contamination.apply(clean, problem.model, 0)
    return {ref.estimator.name: ref for ref in fit_references(problem, contamination, data, clean)}


@given(st.integers(6, 40), st.integers(1, 3), st.integers(0, 99))
def test_ols_agrees_with_numpy(rows: int, features: int, seed: int) -> None:
    x, y = heavy_tailed(rows, features, seed)
    expected = np.linalg.lstsq(with_ones(x), y, rcond=None)[0]
    np.testing.assert_allclose(estimate(OLS, x, y), expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=20)
@given(st.integers(6, 40), st.integers(1, 3), st.integers(0, 99))
def test_lad_minimizes_the_sum_of_absolute_deviations(rows: int, features: int, seed: int) -> None:
    x, y = heavy_tailed(rows, features, seed)
    rng = np.random.default_rng(seed)
    w = estimate(LAD, x, y)
    alternatives = [estimate(OLS, x, y), estimate(HUBER_M, x, y), converged_fit(L1(), x, y)]
    alternatives += [w + size * rng.normal(size=len(w)) for size in (1e-6, 1e-3, 1.0) for _ in range(10)]

    def deviations(plane: np.ndarray) -> float:
        return float(np.abs(with_ones(x) @ plane - y).sum())

    assert all(deviations(w) <= deviations(plane) * (1 + 1e-12) for plane in alternatives)
    assert (np.abs(with_ones(x) @ w - y) < 1e-9).sum() >= len(w)  # a vertex: P residuals are 0


@settings(max_examples=20)
@given(st.integers(10, 60), st.integers(1, 3), st.integers(0, 99))
def test_huber_s_estimate_and_scale_solve_their_equations(rows: int, features: int, seed: int) -> None:
    x, y = heavy_tailed(rows, features, seed)
    fitted = fit(HUBER_M, Affine(features), x, y)
    residual = y - with_ones(x) @ fitted.params
    assert fitted.scale == pytest.approx(np.median(np.abs(residual)) / MAD, rel=1e-6)
    psi = np.clip(residual / fitted.scale, -DELTA, DELTA)
    assert np.abs(with_ones(x).T @ psi).max() < 1e-5 * rows


@settings(max_examples=20)
@given(st.sampled_from(AFFINE), st.floats(-12, 12), st.integers(-5, 5), st.integers(0, 99))
def test_estimates_are_equivariant_under_scaling_and_addition_of_a_plane(
    estimator: Estimator, exponent: float, slope: int, seed: int
) -> None:
    x, y = heavy_tailed(30, 2, seed)
    unit, plane = 10.0**exponent, np.array([slope, -2.0 * slope, slope + 1.0])
    transformed = fit(estimator, Affine(2), x, unit * (y + with_ones(x) @ plane))
    original = fit(estimator, Affine(2), x, y)
    np.testing.assert_allclose(transformed.params / unit, original.params + plane, atol=1e-6)
    np.testing.assert_allclose(transformed.scale / unit, original.scale, rtol=1e-6)


@pytest.mark.parametrize("estimator", AFFINE, ids=estimator_name)
def test_errors_on_clean_rows_agree_with_asymptotic_standard_errors(estimator: Estimator) -> None:
    data = Linear(rows=150, val=1, noise=0.3).draw(0, 32)
    assert data.truth is not None
    # Square roots of asymptotic variances relative to least squares, for normal noise.
    spread = np.sqrt({"ols": 1.0, "lad": np.pi / 2, "huber-m": 1 / 0.95}[estimator.name])
    standardised = []
    for x, y, truth in zip(data.train_x, data.train_y, data.truth, strict=True):
        errors = 0.3 * np.sqrt(np.diag(np.linalg.inv(with_ones(x).T @ with_ones(x))))
        standardised.append((estimate(estimator, x, y) - truth) / (spread * errors))
    assert np.abs(standardised).max() < 4.5
    # The mean of 96 squared standard normal variables has a standard deviation of sqrt(2 / 96).
    assert np.mean(np.square(standardised)) == pytest.approx(1.0, abs=3.5 * np.sqrt(2 / 96))


@pytest.mark.parametrize("published", STACKLOSS, ids=lambda published: published.fit)
def test_fits_to_stackloss_agree_with_published_values(published: Any) -> None:
    (check,) = (c for c in check_published_fits(Table(dataset="stackloss")) if c.published == published)
    deviations = np.abs(np.subtract(check.coefficients, published.coefficients)).tolist()
    if published.scale is not None:
        assert check.scale is not None
        deviations.append(abs(check.scale - published.scale))
    assert max(deviations) <= published.tolerance
    assert check.deviation == max(deviations)
    assert check.agrees


def test_a_fit_beyond_the_tolerance_does_not_agree() -> None:
    published = STACKLOSS[0]
    coefficients = (published.coefficients[0] + 2 * published.tolerance, *published.coefficients[1:])
    check = PublishedCheck(published, ("a", "b", "c", "intercept"), "a library", coefficients, None)
    assert not check.agrees
    assert check.as_json()["deviation"] == pytest.approx(2 * published.tolerance)


@pytest.mark.parametrize(
    "problem",
    [Table(dataset="engel"), Table(dataset="stackloss", target="AIRFLOW"), Linear(), Ohm()],
    ids=str,
)
def test_other_problems_have_no_published_fits(problem: Problem) -> None:
    assert check_published_fits(problem) == ()


@pytest.mark.parametrize("name", NIST)
def test_ols_agrees_with_the_certified_slopes_of_nist(name: str) -> None:
    line = NIST[name]
    x, y = np.array(line.x)[:, None], np.array(line.y)
    np.testing.assert_allclose(estimate(OLS, x, y, intercept=False), [line.slope], rtol=1e-14)


def test_a_line_through_the_origin_has_no_intercept() -> None:
    for reference in fit_by_name(Ohm(intercept=False, rows=50, val=20)).values():
        assert reference.params.shape == (3, 1)
        assert set(reference.metrics) >= {"coef_R", "final_param_error"}


def test_the_only_reference_of_a_nonlinear_model_is_least_squares() -> None:
    problem = Planck(form="scaled")
    (reference,) = fit_by_name(problem).values()
    assert reference.estimator.name == "least squares"
    data = problem.draw(0, 3)
    expected = [problem.model.least_squares(x, y) for x, y in zip(data.train_x, data.train_y, strict=True)]
    np.testing.assert_array_equal(reference.params, expected)
    # The noise multiplies intensities by 1 + u >= 1, which raises the fitted temperature.
    assert 5020 <= reference.metrics["coef_T"] < 5100


def test_metrics_agree_with_their_definitions_in_numpy() -> None:
    problem, contamination = Linear(rows=40, val=25, noise=0.5), Vertical(fraction=0.2, shift=5.0)
    data = contamination.apply(problem.draw(0, 3), problem.model, 0)
    rho = {
        "ols": lambda u, s: u**2 / 2,
        "lad": lambda u, s: np.abs(u),
        "huber-m": lambda u, s: np.where(
            np.abs(u) <= DELTA * s, u**2 / 2, DELTA * s * np.abs(u) - (DELTA * s) ** 2 / 2
        ),
    }
    w_star = np.array([2.0, -3.4, 4.2])
    for name, reference in fit_by_name(problem, contamination).items():
        for r in range(3):
            w = reference.params[r]
            train = with_ones(data.train_x[r]) @ w - data.train_y[r]
            val = with_ones(data.val_x[r]) @ w - data.val_y[r]
            least = with_ones(data.val_x[r]) @ w_star - data.val_y[r]
            expected = {
                "final_train_loss": rho[name](train, reference.scale[r]).mean(),
                "final_val_loss": rho[name](val, reference.scale[r]).mean(),
                "final_param_error": np.linalg.norm(w - w_star),
                "excess_risk": (val**2).mean() / 2 - (least**2).mean() / 2,
            }
            assert {key: values[r] for key, values in reference.finals.items()} == pytest.approx(expected)


@pytest.mark.parametrize("problem", ["linear(rows=30, val=10)", "table(dataset=stackloss)"])
def test_references_have_the_final_metrics_of_trials(problem: str) -> None:
    study = Study(**{"name": "s", "problem": problem, "epochs": 1, "replicates": 2, "batch_sizes": [4]})
    ((trial,),) = (shard.summaries for shard in execute(study))
    for reference in fit_by_name(study.problem, replicates=2).values():
        assert set(reference.finals) == set(trial.finals) - {"epochs_to_tolerance"}
        coefficients = {key for key in reference.metrics if key.startswith("coef_")}
        assert coefficients == {f"coef_{name}" for name in study.problem.parameter_names}


def test_the_error_of_a_table_is_relative_to_the_fit_to_uncontaminated_rows() -> None:
    problem = Table(dataset="stackloss")
    rows, data = problem.columns, problem.draw(0, 3)
    x = data.val_x * rows.x.std(axis=0) + rows.x.mean(axis=0)
    y = data.val_y * rows.y.std() + rows.y.mean()
    clean, shifted = fit_by_name(problem), fit_by_name(problem, Vertical(fraction=0.2, shift=3.0))
    for name, reference in shifted.items():
        distances = np.linalg.norm(reference.params - clean[name].params, axis=1)
        np.testing.assert_allclose(reference.finals["final_param_error"], distances)
        assert (clean[name].finals["final_param_error"] == 0).all()
        residual = [with_ones(x[r]) @ reference.user_params[r] - y[r] for r in range(3)]
        median = np.median(np.abs(residual), axis=1)
        np.testing.assert_allclose(reference.finals["val_median_abs_residual"], median)
    assert shifted["ols"].finals["excess_risk"].max() > 0


def test_a_replicate_s_fit_does_not_depend_on_the_others() -> None:
    problem = Linear(rows=50, val=20)
    data = problem.draw(0, 4)
    first = prefix(data, 2)
    pairs = zip(
        fit_references(problem, CLEAN, data, data),
        fit_references(problem, CLEAN, first, first),
        strict=True,
    )
    for reference, alone in pairs:
        np.testing.assert_array_equal(reference.params[:2], alone.params)
        for name, values in alone.finals.items():
            np.testing.assert_array_equal(reference.finals[name][:2], values)


def check_failed(reference: Reference, reason: str) -> None:
    """Check that no replicate has an estimate or a metric, and that all failures have a reason."""
    assert reference.converged_fraction == 0
    assert all(failure is not None and reason in failure for failure in reference.failures)
    assert np.isnan(reference.params).all()
    assert all(np.isinf(values).all() for values in reference.finals.values())
    assert reference.metrics == {"converged_fraction": 0.0}


def test_reweighting_without_convergence_is_a_failed_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ITERATIONS", 3)
    references = fit_by_name(Linear(rows=50, val=20), Vertical(fraction=0.2, shift=9.0))
    check_failed(references["huber-m"], "after 3 iterations")
    assert references["ols"].converged_fraction == references["lad"].converged_fraction == 1


def test_a_linear_programme_without_convergence_is_a_failed_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.optimize import linprog

    def linprog_of_one_iteration(**arguments: Any) -> Any:
        return linprog(**{**arguments, "options": {"maxiter": 1}})

    monkeypatch.setattr("sklearn.linear_model._quantile.linprog", linprog_of_one_iteration)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        references = fit_by_name(Linear(rows=50, val=20))
    assert raised == []
    check_failed(references["lad"], "did not succeed")
    assert references["ols"].converged_fraction == references["huber-m"].converged_fraction == 1


def test_dependent_columns_are_a_failed_fit() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 30, 1)) * np.array([1.0, -2.0])
    y = x[..., 0] + rng.normal(size=(2, 30))
    data = Data(x, y, x, y, np.zeros((2, 3)), np.zeros(y.shape, bool))
    for reference in fit_references(Linear(), CLEAN, data, data):
        check_failed(reference, "rows of rank 2 do not determine 3 parameters")


def test_features_that_overflow_are_a_failed_fit_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reference in fit_by_name(Linear(rows=50, val=20), Single(value=1e300)).values():
            check_failed(reference, "rows of rank 1")


def test_a_scale_of_zero_is_a_failed_fit_of_huber_m_alone() -> None:
    x = np.random.default_rng(0).normal(size=(1, 20, 2))
    y = np.zeros((1, 20))
    data = Data(x, y, x, y, np.zeros((1, 3)), np.zeros(y.shape, bool))
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        ols, lad, huber_m = fit_references(Linear(), CLEAN, data, data)
    assert raised == []
    check_failed(huber_m, "Estimated scale is 0.0")
    assert (ols.finals["final_param_error"] == 0).all()
    assert (lad.finals["final_param_error"] == 0).all()


@given(
    st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=9),
    st.floats(0.1, 10),
)
def test_relative_efficiency_is_a_ratio_of_mean_squares(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    reference, trial = np.array(pairs).T
    ratio = relative_efficiency(reference, trial)
    assert ratio == pytest.approx((reference @ reference) / (trial @ trial))
    assert relative_efficiency(factor * trial, trial) == pytest.approx(factor**2)


def test_relative_efficiency_is_zero_or_none_for_infinite_errors() -> None:
    finite, infinite = np.array([1.0, 2.0]), np.array([1.0, np.inf])
    assert relative_efficiency(finite, infinite) == 0
    assert relative_efficiency(infinite, finite) is None
    assert relative_efficiency(infinite, infinite) is None


def test_a_reference_is_compared_with_the_best_trial_of_its_contamination() -> None:
    line = "vertical(fraction=0.2, shift=5.0)"
    fitted = list(fit_by_name(Linear(rows=40, val=20), Vertical(fraction=0.2, shift=5.0)).values())
    best_trial = summary([0.1, 0.2, 0.4], contamination=line, loss="l1")
    best_trial.finals["excess_risk"] = fitted[0].quantiles("excess_risk")
    worse_trial = summary([5.0, 5.0, 5.0], contamination=line, loss="l2")
    best = Best(best_trial.trial, "param_error", 0.2, 0.1, 0.4)
    for row, reference in zip(
        compare_with_references(fitted, [worse_trial, best_trial], [best]), fitted, strict=True
    ):
        errors = reference.finals["final_param_error"]
        assert row.efficiency == pytest.approx(np.mean(errors**2) / np.mean(np.square([0.1, 0.2, 0.4])))
        assert (row.contamination, row.metric, row.converged) == (line, "param_error", 1.0)
        assert (row.q05, row.median, row.q95) == tuple(np.sort(errors))
        assert row.trial_excess_risk == fitted[0].quantiles("excess_risk").median
    for row in compare_with_references(fitted, [], []):
        assert row.efficiency is row.trial_excess_risk is None


@pytest.mark.parametrize("problem", [Linear(), Ohm(intercept=False), Planck()], ids=str)
def test_each_estimator_names_its_library_and_version(problem: Problem) -> None:
    for estimator in estimators(problem.model):
        assert f"{estimator.package} {version(estimator.package)}" in estimator.library
