"""Contaminations: which training rows are replaced, and by what. The mask is kept.

Random rows are the first ones of a random permutation that depends only on the seed and the replicate, and
a row's own draws are keyed by its position in the data. Hence two contaminations of the same fraction
replace the same rows, and a larger fraction replaces those of a smaller one and more. A direction in
feature space is that of the first feature, u = (1, 0, ..., 0).
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
