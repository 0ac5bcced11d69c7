"""Seconds and peak memory of `regress run`, from start to exit, beside a flow that does nothing.

Each run has a folder of its own, hence a fresh store, and Prefect's temporary server; all share a
PREFECT_HOME that was used before. The empty flow's process imports the same libraries and has the same
settings, so that the ratio is the share of a study's time that would pass without a study.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.measure import Floats, Result

ROUNDS = 2

REGRESS_RUN = [str(Path(sys.executable).with_name("regress")), "run", "--json", "outcome.json"]
EMPTY_FLOW = """
import matplotlib.pyplot, mlflow, torch
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

@flow
def empty():
    pass

with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
    empty()
"""
SETTINGS = {  # those of `flows.session.start`
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


@dataclass(frozen=True)
class Finished:
    """A command that has run in a folder of its own."""

    seconds: float
    megabytes: float  # the peak of its largest process
    outcome: dict[str, Any]  # what it wrote to outcome.json
    figures: int  # PNG files that it left


def study() -> list[Result]:
    """The default study as a user runs it."""
    empty_flow = [sys.executable, "-c", EMPTY_FLOW]
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        _run(empty_flow, home)  # fills the home
        pairs = [(_run(REGRESS_RUN, home), _run(empty_flow, home)) for _ in range(ROUNDS)]
    ours, peer = zip(*pairs, strict=True)
    return [
        Result("study/empty-flow", _seconds(ours), _seconds(peer), "s", _stages(ours)),
        Result("study/memory", _megabytes(ours), _megabytes(peer), "MB", "the largest process of each"),
    ]


def _run(command: Sequence[str], prefect_home: str) -> Finished:
    watch = [sys.executable, str(Path(__file__).with_name("watch.py"))]
    others = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment = others | SETTINGS | {"PREFECT_HOME": prefect_home}
    with TemporaryDirectory() as folder:
        report = subprocess.run(
            [*watch, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        code, seconds, megabytes = json.loads(report.stdout)
        if code != 0:
            raise RuntimeError(f"{command[0]} ended with {code}:\n{report.stderr}")
        outcome = Path(folder, "outcome.json")
        return Finished(
            seconds=seconds,
            megabytes=megabytes,
            outcome=json.loads(outcome.read_text()) if outcome.exists() else {},
            figures=len(list(Path(folder).rglob("*.png"))),
        )


def _seconds(runs: Sequence[Finished]) -> Floats:
    return np.array([run.seconds for run in runs])


def _megabytes(runs: Sequence[Finished]) -> Floats:
    return np.array([run.megabytes for run in runs])


def _stages(runs: Sequence[Finished]) -> str:
    """What a study leaves, and the median seconds of its stages."""
    outcome = runs[0].outcome
    seconds = {
        name: np.median([run.outcome["seconds"][name] for run in runs]) for name in outcome["seconds"]
    }
    return (
        f"{outcome['trials']} trials, {outcome['lanes']:,} fits, {runs[0].figures} figures; in seconds "
        + ", ".join(f"{name} {median:.1f}" for name, median in seconds.items())
    )
