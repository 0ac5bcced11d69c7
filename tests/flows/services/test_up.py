"""`regress up`, `down` and `doctor` with real servers on free loopback ports, all in one folder."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import requests
from mlflow import MlflowClient

from flows.cli.main import execute
from flows.runtime.ports import port_conflict
from flows.services.deployments import expected_deployments
from flows.services.prefect_server import prefect_client
from flows.services.processes import MARK, descendants
from flows.services.settings import MLFLOW, PREFECT, WORKER, services_folder
from flows.services.state import ServiceState, read_state
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
REGRESS = [sys.executable, "-c", "from flows.cli.main import main; main()"]
TINY = {"name": "tiny", "problem": "linear(rows=60, val=30)", "lrs": [0.03, 0.3], "replicates": 2}
LONG = TINY | {"name": "long", "epochs": 100, "batch_sizes": list(range(1, 60)), "replicates": 64}


@dataclass
class Place:
    """A working folder with a home and a store of its own; and how to work there."""

    root: Path
    prefect_port: int = field(default_factory=free_port)
    mlflow_port: int = field(default_factory=free_port)

    def run(self, *arguments: str, timeout: float = 400) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            arguments, cwd=self.root, capture_output=True, text=True, timeout=timeout, check=False
        )

    @property
    def ports(self) -> list[str]:
        return ["--prefect-port", str(self.prefect_port), "--mlflow-port", str(self.mlflow_port)]

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def store(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")

    def submit(self, study: dict[str, Any], *options: str) -> str:
        """What Prefect's own command says after submitting a study to a deployment."""
        command = [sys.executable, "-m", "prefect", "deployment", "run", "robustness/default", *options]
        done = self.run(*command, "--param", f"study={json.dumps(study)}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("root")
    shutil.copy(migrated_store, root / "mlflow.db")
    place = Place(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("PREFECT_", "MLFLOW_", "REGRESS_")):
                patch.delenv(name)
        patch.chdir(root)
        patch.setenv("REGRESS_HOME", str(root / "home"))
        patch.setenv("PREFECT_HOME", str(root / "terminal"))
        patch.setenv("PYTHONPATH", str(ROOT))
        yield place


@pytest.fixture(scope="module")
def services(place: Place) -> Iterator[Place]:
    """All of it, started by the command; whatever a test leaves is stopped."""
    done = place.run(*REGRESS, "up", *place.ports)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{place.prefect}, started" in done.stdout
        assert f"{place.mlflow}, started" in done.stdout
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT_API_URL", f"{place.prefect}/api")
            yield place
    finally:
        place.run(*REGRESS, "down")


def service_state() -> ServiceState:
    state = read_state()
    assert state is not None
    return state


def ours() -> list[psutil.Process]:
    """Every process that `up` has started here, or that was started by one of them."""
    mark = f" {services_folder()}"
    found = []
    for candidate in psutil.process_iter():
        try:
            if candidate.environ().get(MARK, "").endswith(mark):
                found.append(candidate)
        except psutil.Error:
            continue
    return found


def await_it(happened: Callable[[], bool], patience: float = 240) -> None:
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def said_by(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert execute(arguments) == code
    output = capsys.readouterr()
    return output.out + output.err


@pytest.mark.usefixtures("place")
def test_the_doctor_says_that_nothing_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(["doctor"], 1, capsys)
    assert "FAIL  services     none is running" in said
    assert said.count("FAIL") == 1
    assert "services     none is running" in said_by(["down"], 0, capsys)


def test_a_port_in_use_is_refused_and_leaves_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for option in ("--prefect-port", "--mlflow-port"):
            free = str(place.mlflow_port)
            other = "--mlflow-port" if option == "--prefect-port" else "--prefect-port"
            said = said_by(["up", option, port, other, free], 2, capsys)
            assert said.count("\n") == 1
            assert f"{option}: nothing can listen at 127.0.0.1:{port} (Address already in use)" in said
    assert ours() == []
    assert read_state() is None


REFUSED = {
    "every address, no login": (["--host", "0.0.0.0"], "0.0.0.0 is open to other machines"),
    "another machine's name, no login": (["--host", "example.org"], "expected a password for both servers"),
    "no password": (["--login", "me:"], "--login: expected USER:PASSWORD"),
    "an address of IPv6": (["--host", "::1"], "--host: ::1 is not an IPv4 address"),
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("case", REFUSED)
def test_up_refuses_in_one_sentence(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = REFUSED[case]
    said = said_by(["up", *arguments], 2, capsys)
    assert expected in said
    assert said.count("\n") == 1
    assert ours() == []


@pytest.mark.usefixtures("place")
def test_up_over_a_server_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert "is a server already, expected a database" in said_by(["up"], 2, capsys)
    assert ours() == []


def test_up_deploys_everything_and_listens_on_loopback_only(services: Place) -> None:
    addresses = {
        connection.laddr.ip
        for found in ours()
        for connection in found.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    page = requests.get(f"{services.prefect}/ui-settings", timeout=10).json()
    assert page["api_url"] == f"{services.prefect}/api"
    assert "<title>MLflow</title>" in requests.get(services.mlflow, timeout=10).text
    with prefect_client(service_state().settings) as connected:
        names = [deployment.name for deployment in connected.read_deployments()]
    assert sorted(names) == sorted(expected_deployments())


def test_the_doctor_finds_everything_well(services: Place, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(["doctor"], 0, capsys)
    assert "FAIL" not in said
    assert f"{services.prefect}, schema" in said
    assert "schema dc11669786a5, runs are written as rows" in said


def test_a_submitted_study_is_recorded_as_rows_and_links_to_the_served_pages(services: Place) -> None:
    said = services.submit(TINY, "--watch")
    assert "Completed" in said
    experiment = services.store.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = services.store.search_runs([experiment.experiment_id])
    kinds = [run.data.tags["regress.kind"] for run in runs]
    assert kinds.count("trial") == 2
    (parent,) = (run for run in runs if run.data.tags["regress.kind"] == "study")
    assert parent.info.status == "FINISHED"
    tags = parent.data.tags
    assert tags["prefect.url"] == f"{services.prefect}/runs/flow-run/{tags['prefect.flow_run_id']}"
    assert parent.info.artifact_uri.startswith(str(services.root / "mlruns"))
    over_http = MlflowClient(services.mlflow).get_run(parent.info.run_id)
    assert over_http.data.tags == parent.data.tags
    with prefect_client(service_state().settings) as connected:
        links = [str(found.data) for found in connected.read_artifacts() if found.key == "mlflow"]
    assert f"]({services.mlflow}/#/experiments/{experiment.experiment_id}/runs" in links[0]


class Told(HTTPServer):
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.texts: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Keep(BaseHTTPRequestHandler):
    server: Told

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.texts.append(json.loads(body)["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_second_up_starts_nothing_and_a_failed_reproduction_is_told(
    services: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = service_state().processes
    told = Told()
    said = said_by(["up", "--notify-url", f"http://127.0.0.1:{told.server_port}/hook"], 0, capsys)
    assert said.count("already running") == 3
    assert "deployments  unchanged" in said
    assert "already running" in said_by(["up", *services.ports], 0, capsys)
    assert service_state().processes == before
    other = said_by(["up", "--prefect-port", str(free_port())], 2, capsys)
    assert "--prefect-port: the running services were started with another value" in other
    with prefect_client(service_state().settings) as connected:
        assert len(connected.read_automations()) == 1
    well, ill = _reproduction(fails=False), _reproduction(fails=True)
    await_it(lambda: bool(told.texts), 60)
    told.shutdown()
    told.server_close()
    (text,) = told.texts
    assert text.startswith("reproduce: ")
    assert "the numbers drifted" in text
    assert str(ill) in text
    assert f"{services.prefect}/" in text
    assert str(well) not in text


def _reproduction(fails: bool) -> UUID:
    """A flow run of that name, taken to its end: the automation hears of nothing else."""
    from prefect.states import Completed, Failed, Running

    with prefect_client(service_state().settings) as connected:
        flow_id = connected.create_flow_from_name("reproduce")
        assert isinstance(flow_id, UUID)
        created = connected.request(
            "POST", "/flow_runs/", json={"flow_id": str(flow_id), "state": {"type": "PENDING"}}
        ).json()
        run = UUID(created["id"])
        connected.set_flow_run_state(run, Running())
        connected.set_flow_run_state(run, Failed(message="the numbers drifted") if fails else Completed())
    return run


def test_a_worker_killed_at_work_is_noticed_replaced_and_its_run_ended(
    services: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    services.submit(LONG)
    before = service_state().processes
    await_it(lambda: "Running" in states("long"))
    await_it(lambda: executions(services) == ["RUNNING"])
    worker = psutil.Process(before[WORKER].pid)
    at_work = descendants(before[WORKER])
    assert at_work
    for found in (worker, *at_work):
        found.kill()
    psutil.wait_procs([worker, *at_work], 10)
    said = said_by(["doctor"], 1, capsys)
    assert "FAIL  worker       its process died" in said
    assert "FAIL  flow run     long is Running, but its process" in said
    said = said_by(["up"], 0, capsys)
    assert "worker       started" in said
    assert "1 without a process moved to Crashed" in said
    after = service_state().processes
    assert after[PREFECT] == before[PREFECT]
    assert after[MLFLOW] == before[MLFLOW]
    assert after[WORKER] != before[WORKER]
    assert states("long") == ["Crashed"]
    assert "FAIL" not in said_by(["doctor"], 0, capsys)


def states(name: str) -> list[str]:
    """How the flow runs of that name stand, the oldest first."""
    from prefect.client.schemas.sorting import FlowRunSort

    with prefect_client(service_state().settings) as connected:
        runs = connected.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_ASC)
    return [str(run.state_name) for run in runs if run.name == name]


def executions(place: Place) -> list[str]:
    """How the executions of the long study stand in MLflow, the oldest first."""
    experiment = place.store.get_experiment_by_name("long")
    if experiment is None:
        return []
    only = "tags.`regress.kind` = 'study'"
    runs = place.store.search_runs([experiment.experiment_id], only, order_by=["start_time ASC"])
    return [run.info.status for run in runs]


def test_down_ends_a_run_at_work_and_leaves_no_process(services: Place) -> None:
    services.submit(LONG)
    await_it(lambda: states("long")[-1:] == ["Running"])
    await_it(lambda: executions(services) == ["RUNNING", "RUNNING"])  # the first one was killed
    children = [child for process in ours() for child in process.children(recursive=True)]
    # A process that has just been forked may not have its environment yet.
    await_it(lambda: {child.pid for child in children if child.is_running()} <= {p.pid for p in ours()})
    done = services.run(*REGRESS, "down")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stopped") == 3
    assert executions(services) == ["RUNNING", "KILLED"]
    assert ours() == []
    assert not any(found.is_running() and found.status() != psutil.STATUS_ZOMBIE for found in children)
    assert port_conflict("127.0.0.1", services.prefect_port) is None
    assert port_conflict("127.0.0.1", services.mlflow_port) is None
    assert read_state() is None


def test_with_a_login_both_servers_ask_for_it(services: Place, capsys: pytest.CaptureFixture[str]) -> None:
    done = services.run(*REGRESS, "up", *services.ports, "--login", "ada:a%strong secret")
    assert done.returncode == 0, done.stdout + done.stderr
    assert states("long") == ["Crashed", "Crashed"]  # the second one by `down`
    login = ("ada", "a%strong secret")
    api = f"{services.prefect}/api/admin/version"
    page = f"{services.mlflow}/api/2.0/mlflow/experiments/get-by-name?experiment_name=tiny"
    for url in (api, page):
        assert requests.get(url, timeout=10).status_code == 401
        assert requests.get(url, timeout=10, auth=("ada", "wrong")).status_code == 401
        assert requests.get(url, timeout=10, auth=login).status_code == 200
    assert "FAIL" not in said_by(["doctor"], 0, capsys)
    assert services_folder().stat().st_mode & 0o077 == 0  # where the login lies
    assert services.run(*REGRESS, "down").returncode == 0
    assert ours() == []
