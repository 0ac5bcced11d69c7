"""Contaminations: replacements of training rows by outliers, with a mask of the replaced rows.

Random rows are the first rows of a random permutation that depends only on the seed and the replicate, and
the numbers drawn for a row are keyed by its position in the data. Hence two contaminations of the same
fraction replace the same rows, and a larger fraction replaces a superset of them. Directions in feature
space are along the first feature, u = (1, 0, ..., 0).
"""

from regress.contaminations.contamination import Contamination
from regress.contaminations.fixed import Clean, Single
from regress.contaminations.noise import GrossError, HeavyTails
from regress.contaminations.outliers import AdaptiveVertical, BadLeverage, Cluster, GoodLeverage, Vertical
from regress.values.registry import Registry, load_registry

CONTAMINATIONS: Registry[Contamination] = load_registry(
    Contamination,
    "contaminations",
    [
        Clean,
        Single,
        Vertical,
        AdaptiveVertical,
        GoodLeverage,
        BadLeverage,
        Cluster,
        HeavyTails,
        GrossError,
    ],
)

__all__ = [
    "CONTAMINATIONS",
    "AdaptiveVertical",
    "BadLeverage",
    "Clean",
    "Cluster",
    "Contamination",
    "GoodLeverage",
    "GrossError",
    "HeavyTails",
    "Single",
    "Vertical",
]
