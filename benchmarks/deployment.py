"""Seconds from submitting a deployment's run to its first trial in MLflow, by stage.

Both sides run the same study on the services of `regress up`. Our side is its worker, which polls every
second and writes to the database. The peer is a worker with Prefect's defaults that writes through the
MLflow server. The sides alternate, and each round starts a new worker.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import ViewType

from benchmarks.measure import Result
from flows.services import site as kept
from flows.services.down import take_down
from flows.services.orchestration import client, workers_online
from flows.services.process import environment, start, stop
from flows.services.site import POOL, WORKER, Ledger
from flows.services.up import Options, bring_up, worker_settings

ROUNDS = 3
STAGES = ("taken by the worker", "running", "first trial")
_ROOT = Path(__file__).parents[1]
_STUDY: dict[str, Any] = {"problem": "linear(rows=60, val=30)", "lrs": [0.03, 0.3], "replicates": 2}
_OUR_SETTINGS = ("PREFECT_WORKER_QUERY_SECONDS", "PREFECT_LOGGING_EXTRA_LOGGERS")


def deployment() -> list[Result]:
    """Measure each stage, and the time from the submission to the first trial."""
    with _services() as ledger:
        ours = worker_settings(ledger.site)
        defaults = {name: value for name, value in ours.items() if name not in _OUR_SETTINGS}
        defaults |= {"MLFLOW_TRACKING_URI": ledger.site.mlflow_here}
        sides = {"ours": ours, "peer": defaults}
        seconds: dict[str, list[list[float]]] = {"ours": [], "peer": []}
        for turn in range(ROUNDS):
            for side, settings in sides.items():
                with _worker(ledger, settings):
                    seconds[side].append(_stages(ledger, f"{side}-{turn}"))
    ours_seconds, peer_seconds = np.array(seconds["ours"]), np.array(seconds["peer"])
    note = "the peer is a worker with Prefect's defaults, which writes through the MLflow server"
    results = [
        Result(f"deployment/{stage}", ours_seconds[:, i], peer_seconds[:, i], "s", note)
        for i, stage in enumerate(STAGES)
    ]
    return [*results, Result("deployment/total", ours_seconds.sum(1), peer_seconds.sum(1), "s", note)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _services() -> Iterator[Ledger]:
    """Start all services in a temporary folder, and stop their worker."""
    cwd, variables = Path.cwd(), dict(os.environ)
    with TemporaryDirectory() as folder:
        for name in ("prefect.yaml", "automations.yaml"):
            Path(folder, name).symlink_to(_ROOT / name)
        os.chdir(folder)
        os.environ["REGRESS_HOME"] = f"{folder}/home"
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        try:
            bring_up(Options(None, _free_port(), _free_port()), None, lambda *_: None)
            ledger = kept.read()
            assert ledger is not None
            stop(ledger.processes[WORKER])
            yield ledger
        finally:
            take_down(lambda *_: None)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(variables)


@contextmanager
def _worker(ledger: Ledger, settings: Mapping[str, str]) -> Iterator[None]:
    """Run a worker with these settings; yield once the server reports it online."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", WORKER]
    mark = ledger.processes[WORKER].mark
    process = start(
        command, environment(**settings), Path(ledger.site.root), kept.folder() / "worker.log", mark
    )
    ledger.put(WORKER, process)
    with client(ledger.site) as connected:
        while WORKER not in workers_online(connected) or not _has_started(process.log):
            time.sleep(0.1)
    try:
        yield
    finally:
        stop(process)


def _has_started(log: str) -> bool:
    return Path(log).read_text(errors="replace").count("started!") > 0


def _stages(ledger: Ledger, name: str) -> list[float]:
    """Return the seconds until a worker takes the run, until it is Running, and until its first trial."""
    store = MlflowClient(ledger.site.store)
    with client(ledger.site) as connected:
        target = connected.read_deployment_by_name("robustness/default")
        submitted = time.time()
        run = connected.create_flow_run_from_deployment(
            target.id, parameters={"study": _STUDY | {"name": name}}
        )
        while not (trial := _first_trial(store, name)):
            time.sleep(0.05)
        states = {
            state.name: state.timestamp.timestamp() for state in connected.read_flow_run_states(run.id)
        }
    at = [submitted, states["Pending"], states["Running"], trial]
    return list(np.diff(at))


def _first_trial(store: MlflowClient, name: str) -> float | None:
    """Return when the first trial finished, in seconds since 1970, or None if there is no trial yet."""
    experiment = store.get_experiment_by_name(name)
    if experiment is None:
        return None
    trials = store.search_runs(
        [experiment.experiment_id],
        "tags.`regress.kind` = 'trial' and attributes.status = 'FINISHED'",
        ViewType.ACTIVE_ONLY,
    )
    return min((run.info.end_time / 1000 for run in trials), default=None)
