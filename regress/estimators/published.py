"""Published fits to known data sets, compared with the same fits made here.

Coefficients are in the user's units and in the order of the problem's parameters, the intercept last.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.estimators.optimum import converged_fit
from regress.estimators.references import HUBER_M, LAD, OLS, Estimator, fit
from regress.losses import Huber
from regress.problems import Problem
from regress.problems.columns import Columns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """A published fit to a whole data set."""

    fit: str
    source: str
    coefficients: tuple[float, ...]
    scale: float | None
    tolerance: float  # of any coefficient and of the scale


@dataclass(frozen=True)
class PublishedCheck:
    """A published fit and the same fit made here."""

    published: Published
    parameters: tuple[str, ...]
    library: str
    coefficients: tuple[float, ...]
    scale: float | None

    @property
    def deviation(self) -> float:
        """The largest absolute difference of a coefficient, or of the scale if it is published."""
        pairs = list(zip(self.coefficients, self.published.coefficients, strict=True))
        if self.scale is not None and self.published.scale is not None:
            pairs.append((self.scale, self.published.scale))
        return max(abs(fitted - published) for fitted, published in pairs)

    @property
    def agrees(self) -> bool:
        """Whether the deviation is within the tolerance."""
        return self.deviation <= self.published.tolerance

    def as_json(self) -> dict[str, Any]:
        """Return the check as JSON values."""
        return {
            "fit": self.published.fit,
            "parameters": list(self.parameters),
            "source": self.published.source,
            "published": list(self.published.coefficients),
            "published_scale": self.published.scale,
            "library": self.library,
            "here": list(self.coefficients),
            "scale": self.scale,
            "deviation": self.deviation,
            "tolerance": self.published.tolerance,
            "agrees": self.agrees,
        }


# Stack loss, 21 days of a plant that oxidises ammonia (Brownlee 1965): air flow, water temperature, acid
# concentration. The tolerance is one unit of the last printed digit, as some sources truncate.
STACKLOSS = (
    Published(
        OLS.name,
        "R, lm(stack.loss ~ .)",
        (0.71564, 1.29529, -0.15212, -39.91967),
        None,
        1e-5,
    ),
    Published(
        LAD.name,
        "R, quantreg::rq(stack.loss ~ ., tau = 0.5)",
        (0.83188, 0.57391, -0.06087, -39.68985),
        None,
        1e-5,
    ),
    # R stops at a relative change of 1e-4, about 1e-4 from the fixed point.
    Published(
        HUBER_M.name,
        "R, MASS::rlm(stack.loss ~ ., psi = psi.huber)",
        (0.82937, 0.92611, -0.12785, -41.02653),
        2.44071,
        1e-3,
    ),
    Published(
        str(Huber(1.0)),
        "no scale estimated, another optimum",
        (0.83931, 0.64299, -0.10106, -38.2586),
        None,
        1e-4,
    ),
)
PUBLISHED = {"stackloss": STACKLOSS}  # by the data set's name
_ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in (OLS, LAD, HUBER_M)}


@dataclass(frozen=True)
class Line:
    """A line through the origin, with the slope that NIST certifies (Statistical Reference Datasets)."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: float


NIST = {
    "NoInt1": Line(tuple(range(60, 71)), tuple(range(130, 141)), 2.07438016528926),
    "NoInt2": Line((4.0, 5.0, 6.0), (3.0, 4.0, 4.0), 0.727272727272727),
}


def check_published_fits(problem: Problem) -> tuple[PublishedCheck, ...]:
    """Compare each published fit to the problem's data set with the same fit made here."""
    fits = PUBLISHED.get(problem.published_name or "", ())
    return tuple(_check(problem, published) for published in fits)


def _check(problem: Problem, published: Published) -> PublishedCheck:
    """Compare a published fit with the same fit to all rows of the table."""
    columns, names = problem.columns, problem.parameter_names
    assert columns is not None, "fits are published for tables"
    if published.fit not in _ESTIMATORS:
        library = f"regress {version('regress')} converged_fit"
        return PublishedCheck(published, names, library, _huber(problem, columns, delta=1.0), None)
    estimator = _ESTIMATORS[published.fit]
    fitted = fit(estimator, problem.model, columns.x, columns.y)
    scale = None if published.scale is None else fitted.scale
    return PublishedCheck(published, names, estimator.library, tuple(fitted.params.tolist()), scale)


def _huber(problem: Problem, columns: Columns, delta: float) -> tuple[float, ...]:
    """Return Huber's fit with delta in the units of the target, computed on standardised columns.

    With the original columns the Hessian has a condition number of 3.3 million.
    """
    x = (columns.x - columns.x.mean(axis=0)) / columns.x.std(axis=0)
    y = (columns.y - columns.y.mean()) / columns.y.std()
    fitted = converged_fit(Huber(delta / problem.target_scale), x, y)
    return tuple(problem.in_user_units(fitted).tolist())
