"""Seconds and peak memory of `regress run`, from start to exit, and of two peers.

The first peer is an empty Prefect flow, which imports the same libraries with the same settings: the ratio
is the share of a study's time that does not depend on the study. Each run has a new folder, hence a new
store, and Prefect's temporary server; all share a PREFECT_HOME with an existing database.

The second peer is a plain loop over the study's trials: sixteen models by DataLoader, autograd and
torch.optim.SGD, with losses and error at the end of each epoch, then MLflow's fluent API and a figure by
pyplot. It is measured on one trial per round and extrapolated to all trials.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np

from benchmarks import plots, tracking
from benchmarks.measure import Floats, Result
from benchmarks.training import autograd_fit

ROUNDS = 2
LRS = 40  # learning rates of the larger study, which has 3,240 trials

REGRESS_RUN = [str(Path(sys.executable).with_name("regress")), "run", "--json", "outcome.json"]
_EMPTY = """
import matplotlib.pyplot, mlflow, torch
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

@flow
def empty():
    pass

with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
    empty()
"""
EMPTY_FLOW = [sys.executable, "-c", _EMPTY]
SETTINGS = {  # as in `flows.runtime.temporary_server`, with more time for Prefect's server to start
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


@dataclass(frozen=True)
class Finished:
    """The measurements of a command that has run in a new folder."""

    seconds: float
    cpu_seconds: float  # processor time, including Prefect's server
    megabytes: float  # peak memory of the largest process
    outcome: dict[str, Any]  # content of outcome.json
    figures: int  # number of PNG files written


def study() -> list[Result]:
    """Measure the default study, the same with many more learning rates, the empty flow and the loop."""
    large = [*REGRESS_RUN, "--set", learning_rates(LRS)]
    with TemporaryDirectory(ignore_cleanup_errors=True) as home, plain_trial() as trial:
        run(EMPTY_FLOW, home)  # creates Prefect's database
        trial()
        rounds = [
            (run(REGRESS_RUN, home), run(EMPTY_FLOW, home), _time(trial), run(large, home))
            for _ in range(ROUNDS)
        ]
    ours, empty, trial_seconds, ours_large = zip(*rounds, strict=True)
    results = []
    for name, runs in (("study", ours), ("study-ten", ours_large)):
        seconds, trials = _seconds(runs), runs[0].outcome["trials"]
        difference = float(np.median(seconds - _seconds(empty)))
        results += [
            Result(
                f"{name}/empty-flow",
                seconds,
                _seconds(empty),
                "s",
                f"{difference:.1f} s more than the empty flow; {describe_stages(runs)}",
            ),
            Result(
                f"{name}/usual",
                seconds,
                trials * np.array(trial_seconds),
                "s",
                f"the peer is a plain loop, extrapolated from {ROUNDS} trials to {trials:,}",
            ),
            Result(
                f"{name}/memory", _megabytes(runs), _megabytes(empty), "MB", "the largest process of each"
            ),
        ]
    return results


@contextmanager
def plain_trial() -> Iterator[Callable[[], None]]:
    """Yield a call that trains, records and plots one trial of the default study by a plain loop."""
    shared, summary, data = plots.sample()
    with TemporaryDirectory() as folder:
        client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment_id = client.create_experiment("usual", Path(folder, "artifacts").as_uri())

        def trial() -> None:
            for replicate in range(data.replicates):
                autograd_fit(data, replicate, summary.trial.lr, summary.trial.epochs)
            files = {"trial.png": plots.pyplot_png(summary, shared)}
            tracking.write_fluently(
                client.tracking_uri, experiment_id, [tracking.made_run(summary.trial, 0, files)]
            )

        yield trial


def learning_rates(count: int) -> str:
    """Return the `--set` argument for `count` learning rates from .003 to 3."""
    return "lrs=" + ",".join(f"{lr:.6g}" for lr in np.geomspace(0.003, 3, count))


def _time(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def run(command: Sequence[str], prefect_home: str) -> Finished:
    """Run a command in a new folder and measure it; raise RuntimeError if it fails."""
    watch = [sys.executable, str(Path(__file__).with_name("watch.py"))]
    others = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    homes = {"PREFECT_HOME": prefect_home, "REGRESS_HOME": f"{prefect_home}/regress"}
    environment = others | SETTINGS | homes
    with TemporaryDirectory() as folder:
        report = subprocess.run(
            [*watch, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        code, seconds, cpu_seconds, megabytes = json.loads(report.stdout)
        if code != 0:
            raise RuntimeError(f"{command[0]} exited with code {code}:\n{report.stderr}")
        outcome = Path(folder, "outcome.json")
        return Finished(
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            megabytes=megabytes,
            outcome=json.loads(outcome.read_text()) if outcome.exists() else {},
            figures=len(list(Path(folder).rglob("*.png"))),
        )


def _seconds(runs: Sequence[Finished]) -> Floats:
    return np.array([run.seconds for run in runs])


def _megabytes(runs: Sequence[Finished]) -> Floats:
    return np.array([run.megabytes for run in runs])


def describe_stages(runs: Sequence[Finished]) -> str:
    """Describe the size of a study and the median seconds of its stages."""
    outcome = runs[0].outcome
    seconds = {
        name: np.median([run.outcome["seconds"][name] for run in runs]) for name in outcome["seconds"]
    }
    return (
        f"{outcome['trials']} trials, {outcome['lanes']:,} models, {runs[0].figures} figures; seconds: "
        + ", ".join(f"{name} {median:.1f}" for name, median in seconds.items())
    )
