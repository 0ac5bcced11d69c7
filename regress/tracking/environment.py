"""The environment that an execution runs in: versions, processor, threads, code."""

import os
import platform
import subprocess
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from regress.kernels.compiler import describe_engine
from regress.numerics.threads import limit_to_one_thread

_PACKAGES = (
    "regress",
    "torch",
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "mlflow",
    "prefect",
    "statsmodels",
)

_PACKAGE = Path(__file__).parents[1]
_VECTOR_FLAGS = ("sse", "ssse", "avx", "fma", "f16c", "bmi", "amx", "asimd", "sve")
# Environment variables that change how torch, NumPy, Numba and the C library compute.
_SWITCHES = (
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_OPT",
    "GLIBC_TUNABLES",
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
)
_DIFF_LIMIT = 1 << 20  # bytes


def environment() -> dict[str, Any]:
    """Return versions, torch build, processor, threads, platform, source and git state as JSON values."""
    # References and theory set one thread; set here too, the record does not depend on what ran before.
    limit_to_one_thread()
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "torch": {
            "build": _without_capability(torch.__config__.show()),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "parallel": torch.__config__.parallel_info(),
        },
        "platform": platform.platform(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "processor": _cpu("model name") or platform.processor(),
        "vector_instructions": _vector_instructions(),
        "switches": " ".join(f"{name}={os.environ[name]}" for name in _SWITCHES if name in os.environ),
        "cpus": os.cpu_count(),
        "engine": describe_engine(),
        "code": code_digest(),
        "files": file_digests(),
        "git": git_state(),
    }


def _without_capability(build: str) -> str:
    """Return torch's build text without the line on this processor."""
    return "\n".join(line for line in build.splitlines() if "CPU capability" not in line)


def code_digest() -> str:
    """Return sixteen hexadecimal digits of a hash of the package's source, studies included."""
    digest = sha256()
    for name, file in _sources().items():
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def file_digests() -> dict[str, str]:
    """Return sixteen hexadecimal digits of a hash of each file that `code_digest` covers."""
    return {name: sha256(file.read_bytes()).hexdigest()[:16] for name, file in _sources().items()}


def _sources() -> dict[str, Path]:
    files = sorted([*_PACKAGE.rglob("*.py"), *_PACKAGE.rglob("*.yaml")])
    return {file.relative_to(_PACKAGE).as_posix(): file for file in files}


def git_state() -> dict[str, Any] | None:
    """Return the commit and whether the work tree differs from it; None outside a repository."""
    try:
        return {"commit": _git("rev-parse", "HEAD").strip(), "dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def uncommitted_diff() -> bytes | None:
    """Return the difference of the work tree from its commit, new files by name; None without any.

    It is cut off at 1 MiB. None, too, where the package's files are not tracked by the repository around
    them.
    """
    try:
        _git("ls-files", "--error-unmatch", str(_PACKAGE / "__init__.py"))
        difference = _git("diff", "HEAD", "--no-color", "--no-ext-diff")
        new = _git("ls-files", "--others", "--exclude-standard", "--full-name", ":/")
    except (OSError, subprocess.CalledProcessError):
        return None
    content = (
        difference + "".join(f"# not in the repository: {name}\n" for name in new.splitlines())
    ).encode()
    if len(content) > _DIFF_LIMIT:
        content = content[:_DIFF_LIMIT] + f"\n# cut off: {len(content):,} bytes in all\n".encode()
    return content or None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE.parent), *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    return completed.stdout


def _cpu(field: str) -> str:
    """Return a field of the first processor from /proc/cpuinfo; "" on other systems than Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _vector_instructions() -> str:
    """Return the processor's flags by which libraries choose their code."""
    flags = (_cpu("flags") or _cpu("Features")).split()
    return " ".join(sorted(flag for flag in flags if flag.startswith(_VECTOR_FLAGS)))
