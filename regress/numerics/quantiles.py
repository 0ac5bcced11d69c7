"""Nearest-rank quantiles: always one of the values, so that infinity and divergence survive."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def nearest_ranks(values: Floats, *shares: float) -> tuple[Floats, ...]:
    """Return the q-quantile over the last axis for each share q.

    It is the smallest value that at least a share q of the values do not exceed: never interpolated. nan
    counts as +inf, so that with half of the replicates diverged the median is not finite.
    """
    count = values.shape[-1]
    ranked = np.sort(np.where(np.isnan(values), np.inf, values), axis=-1)
    return tuple(np.asarray(ranked[..., max(ceil(q * count) - 1, 0)]) for q in shares)


def nearest_rank(values: Floats, q: float) -> Floats:
    """Return the q-quantile over the last axis, as `nearest_ranks` defines it."""
    return nearest_ranks(values, q)[0]
