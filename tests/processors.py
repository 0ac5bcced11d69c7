"""A process whose libraries compute as they would on another processor."""

import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def another_processor(environment: dict[str, str]) -> dict[str, str]:
    """`environment` with what makes Numba, torch, MKL, OpenBLAS, NumPy and glibc choose other code."""
    core = np._core._multiarray_umath  # type: ignore[attr-defined]
    features = [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]
    hidden = ("AVX2", "FMA", "AVX512F", "AVX2_Usable", "FMA_Usable", "AVX512F_Usable")
    return environment | {
        "NUMBA_CPU_NAME": "generic",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(features),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in hidden),
    }


def python(script: str, *arguments: str) -> list[str]:
    """The command line that runs `script` from the repository's root."""
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}", *arguments]


def plain() -> dict[str, str]:
    """This process's environment."""
    return dict(os.environ)
