"""Studies and trials: validated values, their YAML, and the studies that ship."""

from regress.study.study import Study
from regress.study.trial import Dtype, Trial

__all__ = ["Dtype", "Study", "Trial"]
