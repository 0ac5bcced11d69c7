"""Seconds from submitting a deployment's run to its first trial in MLflow, by stage.

Both sides run the same study on the services of `regress up`. Ours is its worker, which asks for work every
second and writes to the database; the peer's is a worker with Prefect's defaults that writes through the
MLflow server, as one sets them up by hand. The sides take turns, each round with a worker just started.
"""

import os
import socket
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
from flows.services.command_lines import worker_environment
from flows.services.down import stop_services
from flows.services.prefect_server import online_workers, prefect_client
from flows.services.processes import child_environment, start_process, stop_processes
from flows.services.settings import POOL, WORKER, services_folder
from flows.services.state import ServiceState, read_state
from flows.services.up import Options, start_services

ROUNDS = 3
STAGES = ("taken by the worker", "running", "first trial")
_STUDY: dict[str, Any] = {"problem": "linear(rows=60, val=30)", "lrs": [0.03, 0.3], "replicates": 2}
_OUR_SETTINGS = ("PREFECT_WORKER_QUERY_SECONDS", "PREFECT_LOGGING_EXTRA_LOGGERS")


def deployment() -> list[Result]:
    """Measure each stage, and the time from the submission to the first trial."""
    with _services() as state:
        ours = worker_environment(state.settings)
        defaults = {name: value for name, value in ours.items() if name not in _OUR_SETTINGS}
        defaults |= {"MLFLOW_TRACKING_URI": state.settings.mlflow_local_address}
        sides = {"ours": ours, "peer": defaults}
        seconds: dict[str, list[list[float]]] = {"ours": [], "peer": []}
        for turn in range(ROUNDS):
            for side, settings in sides.items():
                with _worker(state, settings):
                    seconds[side].append(_stages(state, f"{side}-{turn}"))
    ours_seconds, peer_seconds = np.array(seconds["ours"]), np.array(seconds["peer"])
    note = "the peer is a worker with Prefect's defaults, writing through the MLflow server"
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
def _services() -> Iterator[ServiceState]:
    """Start all services in a temporary folder, and stop their worker."""
    cwd, variables = Path.cwd(), dict(os.environ)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["REGRESS_HOME"] = f"{folder}/home"
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        try:
            start_services(Options(None, _free_port(), _free_port()), None, lambda *_: None)
            state = read_state()
            assert state is not None
            stop_processes(state.processes[WORKER])
            yield state
        finally:
            stop_services(lambda *_: None)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(variables)


@contextmanager
def _worker(state: ServiceState, settings: Mapping[str, str]) -> Iterator[None]:
    """Run a worker with these settings; yield once the server reports it online."""
    arguments = ["prefect", "worker", "start", "--pool", POOL, "--name", WORKER]
    mark = state.processes[WORKER].mark
    folder = Path(state.settings.working_folder)
    process = start_process(
        arguments, child_environment(**settings), folder, services_folder() / "worker.log", mark
    )
    state.add(WORKER, process)
    with prefect_client(state.settings) as connected:
        while WORKER not in online_workers(connected) or not _has_started(process.log):
            time.sleep(0.1)
    try:
        yield
    finally:
        stop_processes(process)


def _has_started(log: str) -> bool:
    return Path(log).read_text(errors="replace").count("started!") > 0


def _stages(state: ServiceState, name: str) -> list[float]:
    """Return the seconds until a worker takes the run, until it is Running, and until its first trial."""
    store = MlflowClient(state.settings.store)
    with prefect_client(state.settings) as connected:
        target = connected.read_deployment_by_name("robustness/default")
        submitted = time.time()
        run = connected.create_flow_run_from_deployment(
            target.id, parameters={"study": _STUDY | {"name": name}}
        )
        while not (trial := _first_trial(store, name)):
            time.sleep(0.05)
        states = {
            flow_state.name: flow_state.timestamp.timestamp()
            for flow_state in connected.read_flow_run_states(run.id)
        }
    at = [submitted, states["Pending"], states["Running"], trial]
    return list(np.diff(at))


def _first_trial(store: MlflowClient, name: str) -> float | None:
    """When the first trial was finished, in seconds since 1970; None while there is none."""
    experiment = store.get_experiment_by_name(name)
    if experiment is None:
        return None
    trials = store.search_runs(
        [experiment.experiment_id],
        "tags.`regress.kind` = 'trial' and attributes.status = 'FINISHED'",
        ViewType.ACTIVE_ONLY,
    )
    return min((run.info.end_time / 1000 for run in trials), default=None)
