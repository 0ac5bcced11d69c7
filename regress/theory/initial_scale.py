"""Number of epochs until the error is within tolerance, as a function of the initial distance.

Assumes standard normal features, mean reduction, and that the noise of SGD is smaller than the tolerance.
`steps` is the number of steps per epoch: rows / batch_size under tail=weight, rounded down under tail=drop
and up under tail=keep. The epochs returned are fractional; a run needs them rounded up.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_MEAN_ABSOLUTE = np.sqrt(2 / np.pi)  # E |x|, x ~ N(0, 1)


def start_distance(sigma: ArrayLike, draws: int, truth: Floats) -> Floats:
    """Return the root mean square distance |w_0 - w*| (...) for initial scales `sigma` (...).

    It is sqrt(draws sigma**2 + |w*|**2) with w* = `truth` (P,), where `draws` of the parameters start from
    N(0, sigma**2) and the others from 0.
    """
    return np.asarray(np.sqrt(draws * np.square(sigma) + np.sum(np.square(truth))))


def l2_epochs(
    distance: ArrayLike, tolerance: float, lr: float, steps: float, curvature: float = 1.0
) -> Floats:
    """Return the epochs (...) from `distance` (...) to `tolerance` under squared loss.

    They grow with the logarithm of the distance: a step multiplies the mean error by |1 - lr * curvature|,
    where `curvature` is the eigenvalue of H in the direction of the error (1 for the population). Infinite
    if this factor is 1 or more.
    """
    log_ratio = np.log(np.maximum(distance, tolerance) / tolerance)
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = np.maximum(-np.log(np.abs(1 - lr * curvature)), 0.0)
        return np.where(log_ratio > 0, log_ratio / (decay * steps), 0.0)


def l1_epochs(distance: ArrayLike, tolerance: float, lr: float, steps: float, bound: float = 1.0) -> Floats:
    """Return the epochs (...) from `distance` (...) to `tolerance` under absolute loss.

    They grow in proportion to the distance: far from the optimum, at an error e in the weights, the mean
    step is -lr E x sign(x'e) = -lr sqrt(2 / pi) e / |e|, whose length does not depend on e. For a loss with
    bounded psi, the length is multiplied by `bound` (Huber's delta) as long as |e| is far above the
    residual at which psi becomes constant; far below it, Huber's loss is squared loss.
    """
    excess = np.maximum(distance, tolerance) - tolerance
    return np.asarray(excess / (lr * bound * _MEAN_ABSOLUTE * steps))
