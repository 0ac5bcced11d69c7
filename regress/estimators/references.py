"""References: estimators of statsmodels and scikit-learn, fitted to the rows that trials train on.

They are least squares (OLS), least absolute deviations (LAD), and Huber's M-estimator with its scale
re-estimated by the MAD, as in R's `rlm`. They are independent of this project's own code.

LAD is solved by scikit-learn's linear programme, which ends exactly at a vertex, instead of statsmodels'
QuantReg. The latter reweights until a step is below 1e-6 in the units of the target and clips residuals
there; on the clean rows of the default study its result was off by 3e-5, a tenth of the error of LAD.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from regress.contaminations import Contamination
from regress.losses import L1, L2, Huber, Loss
from regress.metrics.summary import Quantiles
from regress.numerics.quantiles import nearest_ranks
from regress.numerics.threads import limit_to_one_thread
from regress.problems import Data, Model, Problem

Floats = NDArray[np.float64]

DELTA = 1.345  # 95 % efficiency relative to least squares for normal noise (Huber 1964)
ITERATIONS = 500  # of reweighting; about 150 are needed with a third of the targets shifted
TOLERANCE = 1e-8  # the largest change of a weight, each in [0, 1], at convergence

_library_lock = threading.Lock()  # also for imports: concurrent imports of scikit-learn can deadlock


class NotConverged(ArithmeticError):
    """A library's estimator did not converge."""


@dataclass(frozen=True)
class Fit:
    """An estimate of P parameters from the rows of one replicate; nan, with the reason, if it failed."""

    params: Floats
    scale: float = np.nan  # of the residuals, if it is estimated
    failure: str | None = None


@dataclass(frozen=True)
class Estimator:
    """A library's estimator, and the loss that its estimate minimises."""

    name: str
    package: str
    call: str
    solve: Callable[[Model, Floats, Floats], Fit]
    loss: Callable[[Fit], Loss]

    @property
    def library(self) -> str:
        """Package, version and call."""
        return f"{self.package} {version(self.package)} {self.call}"


@dataclass(frozen=True)
class Reference:
    """One estimator's fits to the contaminated training rows of R replicates.

    `finals` have the names and definitions of a trial's final metrics, with the estimator's own loss; for a
    table w* is the estimator's fit to the uncontaminated training rows. A replicate without a fit counts
    as +inf.
    """

    estimator: Estimator
    problem: Problem
    contamination: Contamination
    params: Floats  # (R, P), in the fleet's units
    scale: Floats  # (R,), in the units of the user's target; nan where none is estimated
    failures: tuple[str | None, ...]  # (R,)
    finals: dict[str, Floats]  # (R,) each

    @property
    def user_params(self) -> Floats:
        """The estimates (R, P) in the user's units."""
        return self.problem.in_user_units(self.params)

    @property
    def ranking(self) -> Floats:
        """The final metric (R,) by which trials are ranked."""
        name = self.problem.ranking
        return self.finals["final_param_error" if name == "param_error" else name]

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether each replicate has a fit (R,)."""
        return np.array([failure is None for failure in self.failures])

    @property
    def converged_fraction(self) -> float:
        """The fraction of replicates with a fit."""
        return float(self.converged.mean())

    def quantiles(self, name: str) -> Quantiles:
        """Return the quantiles of a final metric over replicates."""
        return Quantiles(*nearest_ranks(self.finals[name], 0.5, 0.05, 0.95))

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by name, those that are not finite left out."""
        metrics = {
            name + suffix: float(value)
            for name in self.finals
            for suffix, value in zip(("", "_q05", "_q95"), self.quantiles(name), strict=True)
        }
        metrics["converged_fraction"] = self.converged_fraction
        if self.converged.any():
            metrics["scale"] = float(np.median(self.scale[self.converged]))
            medians = np.median(self.user_params[self.converged], axis=0)
            names = self.problem.parameter_names
            metrics |= {f"coef_{n}": float(value) for n, value in zip(names, medians, strict=True)}
        return {name: value for name, value in metrics.items() if np.isfinite(value)}


def fit_references(
    problem: Problem, contamination: Contamination, data: Data, clean: Data
) -> tuple[Reference, ...]:
    """Fit each estimator that applies to the problem to contaminated `data`.

    `clean` are the rows before contamination.
    """
    limit_to_one_thread()
    return tuple(
        _reference(estimator, problem, contamination, data, clean)
        for estimator in estimators(problem.model)
    )


def estimators(model: Model) -> tuple[Estimator, ...]:
    """Return the estimators that apply to a model; for models that are not linear only least squares."""
    return (OLS, LAD, HUBER_M) if model.is_linear else (LEAST_SQUARES,)


def fit(estimator: Estimator, model: Model, x: Floats, y: Floats) -> Fit:
    """Return the estimate from features x (n, F) and targets y (n,); a failure is recorded in it."""
    try:
        with np.errstate(all="ignore"), _failures_as_exceptions():
            estimate = estimator.solve(model, x, y)
        if not np.isfinite(estimate.params).all():
            raise NotConverged("the estimate is not finite")
    # Libraries fail in several ways: LinAlgError and other ValueErrors, None as a solution, or a warning
    # that `_failures_as_exceptions` raises.
    except (ArithmeticError, ValueError, TypeError, UserWarning) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Fit(np.full(model.parameters, np.nan), failure=lines[0])
    return estimate


def _ols(model: Model, x: Floats, y: Floats) -> Fit:
    from statsmodels.regression.linear_model import OLS as LinearModel

    return Fit(LinearModel(y, _design(model, x)).fit().params)


def _lad(model: Model, x: Floats, y: Floats) -> Fit:
    from sklearn.linear_model import QuantileRegressor

    z = _design(model, x)
    start, unit, residual = _residuals(z, y)
    # The interior-point method takes half the time of the simplex method at 1,000 rows, a sixth at 10,000.
    programme = QuantileRegressor(quantile=0.5, alpha=0.0, solver="highs-ipm", fit_intercept=False)
    return Fit(start + unit * programme.fit(z, residual).coef_)


def _huber_m(model: Model, x: Floats, y: Floats) -> Fit:
    from statsmodels.robust.norms import HuberT
    from statsmodels.robust.robust_linear_model import RLM

    z = _design(model, x)
    start, unit, residual = _residuals(z, y)
    # By default iterations stop at a constant deviance, which divides residuals by a variance.
    result = RLM(residual, z, M=HuberT(DELTA)).fit(
        maxiter=ITERATIONS, tol=TOLERANCE, scale_est="mad", conv="weights"
    )
    weights = result.fit_history["weights"]
    if not np.abs(weights[-1] - weights[-2]).max() <= TOLERANCE:
        raise NotConverged(f"the weights still change after {ITERATIONS} iterations")
    return Fit(start + unit * result.params, unit * float(result.scale))


def _residuals(z: Floats, y: Floats) -> tuple[Floats, float, Floats]:
    """Return least squares (P,), the median |residual|, and the residuals (n,) in units of it.

    An estimate from y is least squares plus the estimate from its residuals (equivariance). Fitting
    scaled residuals makes the absolute tolerances of the solvers independent of the target's units.
    """
    start = np.asarray(np.linalg.lstsq(z, y, rcond=None)[0], np.float64)
    residual = y - z @ start
    unit = float(np.median(np.abs(residual))) or 1.0
    return start, unit, residual / unit


def _least_squares(model: Model, x: Floats, y: Floats) -> Fit:
    return Fit(model.least_squares(x, y))


OLS = Estimator("ols", "statsmodels", "OLS", _ols, lambda _: L2())
LAD = Estimator("lad", "scikit-learn", "QuantileRegressor(alpha=0)", _lad, lambda _: L1())
HUBER_M = Estimator(
    "huber-m",
    "statsmodels",
    f"RLM(HuberT({DELTA}))",
    _huber_m,
    lambda estimate: Huber(DELTA * estimate.scale),
)
LEAST_SQUARES = Estimator("least squares", "scipy", "least_squares", _least_squares, lambda _: L2())


def _design(model: Model, x: Floats) -> Floats:
    """Return the design matrix (n, P); raise NotConverged if its columns are linearly dependent."""
    rows = model.table(x[None], np.zeros((1, len(x))), torch.float64)
    z = np.ascontiguousarray(rows[0, :, : model.parameters].numpy())
    rank = np.linalg.matrix_rank(z)
    if rank < model.parameters:
        raise NotConverged(f"rows of rank {rank} do not determine {model.parameters} parameters")
    return z


@contextmanager
def _failures_as_exceptions() -> Iterator[None]:
    """Raise a library's warning that a fit has failed as an exception inside the block.

    Filters of warnings are shared by all threads; a lock lets one thread at a time change and restore them.
    """
    with _library_lock, warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning as SklearnWarning
        from statsmodels.tools.sm_exceptions import ConvergenceWarning as StatsmodelsWarning

        modules = r"regress\.estimators\.references|sklearn\.linear_model\._quantile"
        for category in (SklearnWarning, StatsmodelsWarning):
            warnings.filterwarnings("error", category=category, module=modules)
        yield


def _reference(
    estimator: Estimator, problem: Problem, contamination: Contamination, data: Data, clean: Data
) -> Reference:
    model = problem.model
    fits = _fits(estimator, model, data)
    params = np.stack([estimate.params for estimate in fits])
    if clean.truth is not None:
        w_star = clean.truth
    elif data is clean:
        w_star = params
    else:
        w_star = np.stack([estimate.params for estimate in _fits(estimator, model, clean)])
    return Reference(
        estimator=estimator,
        problem=problem,
        contamination=contamination,
        params=params,
        scale=problem.target_scale * np.array([estimate.scale for estimate in fits]),
        failures=tuple(estimate.failure for estimate in fits),
        finals=_finals(estimator, problem, data, fits, params, w_star),
    )


def _fits(estimator: Estimator, model: Model, data: Data) -> list[Fit]:
    return [fit(estimator, model, x, y) for x, y in zip(data.train_x, data.train_y, strict=True)]


def _finals(
    estimator: Estimator,
    problem: Problem,
    data: Data,
    fits: list[Fit],
    params: Floats,
    w_star: Floats,
) -> dict[str, Floats]:
    """Return the final metrics (R,) of fits with parameters `params` (R, P)."""
    model = problem.model

    def mean_rho(residual: Floats) -> Floats:
        means = [
            np.inf if estimate.failure else float(estimator.loss(estimate).rho(torch.from_numpy(u)).mean())
            for estimate, u in zip(fits, residual, strict=True)
        ]
        return np.array(means)

    with np.errstate(all="ignore"):
        train = model.predict(data.train_x, params) - data.train_y
        val = model.predict(data.val_x, params) - data.val_y
        least = model.predict(data.val_x, w_star) - data.val_y
        finals = {
            "final_train_loss": mean_rho(train),
            "final_val_loss": mean_rho(val),
            "final_param_error": np.sqrt(((params - w_star) ** 2).sum(axis=-1)),
            "excess_risk": (val**2 / 2).mean(axis=-1) - (least**2 / 2).mean(axis=-1),
        }
        if problem.ranking == "val_median_abs_residual":
            finals["val_median_abs_residual"] = problem.target_scale * np.median(np.abs(val), axis=-1)
    return {name: np.where(np.isfinite(values), values, np.inf) for name, values in finals.items()}
