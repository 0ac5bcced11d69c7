"""Epochs until the error is within tolerance, as the initial scale sets how far away it starts.

Assumes standard normal features, mean reduction, and that SGD's own noise is smaller than the
tolerance. `steps` are those of an epoch: rows / batch_size under tail=weight, rounded down under drop,
up under keep. The epochs returned are not whole; a run counts the one begun.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SPEED = np.sqrt(2 / np.pi)  # E |x|, x ~ N(0, 1)


def start_distance(sigma: ArrayLike, draws: int, truth: Floats) -> Floats:
    """The root mean square distance |w_0 - w*| (...) of initial scales `sigma` (...).

    sqrt(draws sigma**2 + |w*|**2): from w* = `truth` (P,), where `draws` of the parameters start as
    N(0, sigma**2) and the others at 0.
    """
    return np.asarray(np.sqrt(draws * np.square(sigma) + np.sum(np.square(truth))))


def l2_epochs(
    distance: ArrayLike, tolerance: float, lr: float, steps: float, curvature: float = 1.0
) -> Floats:
    """Epochs from `distance` (...) to `tolerance` under squared loss: they grow with its logarithm.

    A step multiplies the mean error by |1 - lr * curvature|, `curvature` being the eigenvalue of H along
    it, 1 for the population. Infinite where that is 1 or more.
    """
    way = np.log(np.maximum(distance, tolerance) / tolerance)
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = np.maximum(-np.log(np.abs(1 - lr * curvature)), 0.0)
        return np.where(way > 0, way / (decay * steps), 0.0)


def l1_epochs(distance: ArrayLike, tolerance: float, lr: float, steps: float, bound: float = 1.0) -> Floats:
    """Epochs from `distance` (...) to `tolerance` under absolute loss: they grow with it.

    Far from the optimum, at error e in the weights, -E x sign(x'e) = -sqrt(2 / pi) e / |e|: w moves
    lr sqrt(2 / pi) a step, however far it has to go. A loss whose psi is bounded moves `bound` times
    that (delta under Huber's) while |e| is far above where psi levels off; far below that, Huber's loss is
    the squared one.
    """
    way = np.maximum(distance, tolerance) - tolerance
    return np.asarray(way / (lr * bound * _SPEED * steps))
