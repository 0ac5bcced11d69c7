"""Seconds and peak memory of `regress run`, from start to exit, beside a flow that does nothing.

Each run has a folder of its own, hence a fresh store, and Prefect's temporary server; all share a
PREFECT_HOME that was used before. The empty flow's process imports the same libraries and has the same
settings, so that the ratio is the share of a study's time that would pass without a study.

The usual way to write the same study is a loop over its trials: sixteen models by DataLoader, autograd and
torch.optim.SGD, with losses and error at each epoch's end, then MLflow's fluent API and a figure by pyplot.
It is measured on one trial a round and extrapolated to all.
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
LRS = 40  # of the larger study: 3,240 trials

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
SETTINGS = {  # those of `flows.runtime.temporary_server`, and time for a server of Prefect's own
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


@dataclass(frozen=True)
class Finished:
    """A command that has run in a folder of its own."""

    seconds: float
    busy: float  # seconds of processor time, Prefect's server included
    megabytes: float  # the peak of its largest process
    outcome: dict[str, Any]  # what it wrote to outcome.json
    figures: int  # PNG files that it left


def study() -> list[Result]:
    """The default study as a user runs it, the same with ten times the learning rates, and the loop."""
    large = [*REGRESS_RUN, "--set", learning_rates(LRS)]
    with TemporaryDirectory(ignore_cleanup_errors=True) as home, usual_way() as usual:
        run(EMPTY_FLOW, home)  # fills the home
        usual()
        rounds = [
            (run(REGRESS_RUN, home), run(EMPTY_FLOW, home), _timed(usual), run(large, home))
            for _ in range(ROUNDS)
        ]
    ours, empty, sample, ten = zip(*rounds, strict=True)
    results = []
    for name, runs in (("study", ours), ("study-ten", ten)):
        seconds, trials = _seconds(runs), runs[0].outcome["trials"]
        beyond = float(np.median(seconds - _seconds(empty)))
        loop = f"the loop extrapolated from {ROUNDS} trials to {trials:,}"
        results += [
            Result(
                f"{name}/empty-flow",
                seconds,
                _seconds(empty),
                "s",
                f"{beyond:.1f} s beyond; {stages(runs)}",
            ),
            Result(f"{name}/usual", seconds, trials * np.array(sample), "s", loop),
            Result(
                f"{name}/memory", _megabytes(runs), _megabytes(empty), "MB", "the largest process of each"
            ),
        ]
    return results


@contextmanager
def usual_way() -> Iterator[Callable[[], None]]:
    """A call that does one trial of the default study the usual way."""
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
    """A setting of that many learning rates between .003 and 3."""
    return "lrs=" + ",".join(f"{lr:.6g}" for lr in np.geomspace(0.003, 3, count))


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def run(command: Sequence[str], prefect_home: str) -> Finished:
    watch = [sys.executable, str(Path(__file__).with_name("watch.py"))]
    others = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    homes = {"PREFECT_HOME": prefect_home, "REGRESS_HOME": f"{prefect_home}/regress"}
    environment = others | SETTINGS | homes
    with TemporaryDirectory() as folder:
        report = subprocess.run(
            [*watch, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        code, seconds, busy, megabytes = json.loads(report.stdout)
        if code != 0:
            raise RuntimeError(f"{command[0]} ended with {code}:\n{report.stderr}")
        outcome = Path(folder, "outcome.json")
        return Finished(
            seconds=seconds,
            busy=busy,
            megabytes=megabytes,
            outcome=json.loads(outcome.read_text()) if outcome.exists() else {},
            figures=len(list(Path(folder).rglob("*.png"))),
        )


def _seconds(runs: Sequence[Finished]) -> Floats:
    return np.array([run.seconds for run in runs])


def _megabytes(runs: Sequence[Finished]) -> Floats:
    return np.array([run.megabytes for run in runs])


def stages(runs: Sequence[Finished]) -> str:
    """What a study leaves, and the median seconds of its stages."""
    outcome = runs[0].outcome
    seconds = {
        name: np.median([run.outcome["seconds"][name] for run in runs]) for name in outcome["seconds"]
    }
    return (
        f"{outcome['trials']} trials, {outcome['lanes']:,} fits, {runs[0].figures} figures; in seconds "
        + ", ".join(f"{name} {median:.1f}" for name, median in seconds.items())
    )
