"""Experiments on robust regression: losses, learning rates, initial scales and data orders compared.

Examples
--------
>>> import regress
>>> study = regress.Study(problem="linear(rows=60, val=30)", losses=["l2", "l1"], lrs=[0.01, 0.1])
>>> result = regress.run(study, progress=False)
>>> len(result.trials)
4
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regress.api import load, open_result, run, studies
    from regress.errors import InputError, ServiceLost
    from regress.report.study_result import StudyResult
    from regress.study import Study

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "ServiceLost",
    "Study",
    "StudyResult",
    "load",
    "open_result",
    "run",
    "studies",
]

# Imported on first use, because torch and MLflow take seconds.
_MODULES = {
    "InputError": "regress.errors",
    "ServiceLost": "regress.errors",
    "Study": "regress.study",
    "StudyResult": "regress.report.study_result",
    "load": "regress.api",
    "open_result": "regress.api",
    "run": "regress.api",
    "studies": "regress.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'regress' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
