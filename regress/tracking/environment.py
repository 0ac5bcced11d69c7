"""What an execution ran on: versions, processor, threads, code."""

import os
import platform
import subprocess
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "regress",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "mlflow",
    "prefect",
    "statsmodels",
)


def environment() -> dict[str, Any]:
    """Versions, torch build, processor, threads, platform and git state, for `environment.json`."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "torch": {
            "build": torch.__config__.show(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
        },
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "code": code_digest(),
        "git": git_state(),
    }


def code_digest() -> str:
    """Sixteen hexadecimal digits of the source of the package `regress`, studies included."""
    folder = Path(__file__).parents[1]
    digest = sha256()
    for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.yaml")]):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def git_state() -> dict[str, Any] | None:
    """Commit and whether the work tree differs from it; None outside a repository."""
    folder = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
