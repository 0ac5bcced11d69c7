"""Seconds of `regress reproduce latest`, including its controls, and of the `regress run` that it repeats.

Both are measured from start to exit, in one folder with a new store, on Prefect's temporary server with an
existing database. A ratio of 1 or more means that a rerun costs no more than the execution.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measure import Result

ROUNDS = 2
REGRESS = [sys.executable, "-c", "from flows.cli.main import main; main()"]


def reproduce() -> list[Result]:
    """Measure the default study's execution and rerun in turn."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        pairs = [_pair(home) for _ in range(1 + ROUNDS)][1:]  # the first creates Prefect's database
    peer, ours = np.array(pairs).T
    note = "the default study, rerun with its own seed and another seed, with five controls"
    return [Result("reproduce/run", ours, peer, "s", note)]


def _pair(home: str) -> tuple[float, float]:
    """Return the seconds of an execution and of its rerun in a new folder."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = _seconds("run", folder=folder, home=home)
        return run, _seconds("reproduce", "latest", folder=folder, home=home)


def _seconds(*arguments: str, folder: str, home: str) -> float:
    others = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = others | {"PREFECT_HOME": home, "REGRESS_HOME": f"{home}/regress", "PYTHONPATH": paths}
    began = time.perf_counter()
    subprocess.run([*REGRESS, *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    return time.perf_counter() - began
