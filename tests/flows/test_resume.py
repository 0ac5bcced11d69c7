"""Executions that end before their time, and are finished by another attempt."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.robustness import robustness
from flows.runtime.shown_command import shown_command
from regress.errors import InputError
from regress.study import Study
from regress.tracking.lease import LEASE_TAG, hold_lease
from regress.tracking.store import open_store
from regress.tracking.unfinished import find_unfinished
from tests.ports import free_port
from tests.servers import server

pytestmark = pytest.mark.usefixtures("prefect_server")

KILLS = 14
CORES = sorted(os.sched_getaffinity(0))[:2]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def ask(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Runs attempts at a study in processes of their own, one on each of two cores."""
    from prefect.settings import get_current_settings

    environment = os.environ | {"PREFECT_API_URL": str(get_current_settings().api.url)}
    log = (tmp_path_factory.mktemp("kill") / "log").open("wb")
    command = [sys.executable, "-m", "tests.flows.kill"]
    folder = Path(__file__).parents[2]
    free: Queue[subprocess.Popen[str]] = Queue()

    def ask(study: Study, folder: Path, *, resume: bool = False, last: int = 0) -> dict[str, Any]:
        request = {
            "study": study.model_dump(mode="json"),
            "store": f"sqlite:///{folder / 'mlflow.db'}",
            "home": str(folder / "home"),
            "resume": resume,
            "last": last,
        }
        process = free.get()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        free.put(process)
        return dict(json.loads(answer))

    with ExitStack() as stack:
        stack.enter_context(log)
        for core in CORES:
            process = subprocess.Popen(
                [*command, str(core)],
                cwd=folder,
                env=environment,
                text=True,
                stdin=-1,
                stdout=-1,
                stderr=log,
            )
            free.put(stack.enter_context(process))
        yield ask


@pytest.fixture
def place(tmp_path: Path, migrated_store: Path) -> Callable[[str], Path]:
    """Makes folders with a store of their own."""

    def place(name: str) -> Path:
        (tmp_path / name).mkdir()
        shutil.copy(migrated_store, tmp_path / name / "mlflow.db")
        return tmp_path / name

    return place


def executions(client: MlflowClient) -> list[Run]:
    found = client.get_experiment_by_name("small")
    if found is None:
        return []
    return list(client.search_runs([found.experiment_id], "tags.`regress.kind` = 'study'"))


def trials(client: MlflowClient, run: Run) -> dict[str, str]:
    """Run id of each recorded trial of an execution by its digest; each is there once, and complete."""
    runs = client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'", max_results=1000
    )
    own = [child for child in runs if child.data.tags["regress.kind"] == "trial"]
    assert all(child.info.status == "FINISHED" and child.data.params for child in own)
    assert all(client.list_artifacts(child.info.run_id) for child in own)
    digests = [child.data.tags["regress.trial"] for child in own]
    assert len(set(digests)) == len(digests)
    return dict(zip(digests, (child.info.run_id for child in own), strict=True))


def results(client: MlflowClient, run_id: str, folder: Path) -> bytes:
    return Path(client.download_artifacts(run_id, "results.parquet", str(folder))).read_bytes()


@pytest.mark.timeout(900)
def test_killed_at_any_moment_it_is_finished_as_if_nothing_had_happened(
    ask: Ask, place: Callable[[str], Path], small_study: Study
) -> None:
    whole = place("undisturbed")
    undisturbed = ask(small_study, whole)
    expected = results(client_of(whole), undisturbed["study_run_id"], whole)
    draw = random.Random(0)
    part = undisturbed["accesses"] // KILLS
    moments = [kill * part + draw.randint(1, part) for kill in range(KILLS)]

    def kill_and_resume(moment: int) -> int:
        """How many trials were recorded when the first attempt died."""
        folder = place(f"killed-at-{moment}")
        killed = ask(small_study, folder, last=moment)
        assert killed["status"] == signal.SIGKILL
        client = client_of(folder)
        before = {run.info.run_id: (run, trials(client, run)) for run in executions(client)}

        resumed = ask(small_study, folder, resume=True)
        assert resumed["status"] == 0
        (*_, run) = [r for r in executions(client) if r.info.run_id == resumed["study_run_id"]]
        assert run.info.status == "FINISHED"
        assert results(client, run.info.run_id, folder) == expected
        after = trials(client, run)
        assert set(after) == {trial.digest for trial in small_study.trials}
        if before:
            ((old, recorded),) = before.values()
            if old.info.status != "FINISHED":
                assert run.info.run_id == old.info.run_id
                assert recorded.items() <= after.items()
                check_crashed(old)
        assert not list((folder / "home" / "checkpoints").glob("*"))
        return sum(len(recorded) for _, recorded in before.values())

    with ThreadPoolExecutor(len(CORES)) as pool:
        recorded = dict(zip(moments, pool.map(kill_and_resume, moments), strict=True))
    # Some died before the first trial was recorded, some after the last, and one in between.
    trial_count = len(small_study.trials)
    assert {0, trial_count} <= set(recorded.values())
    while set(recorded.values()) == {0, trial_count}:
        latest = max(moment for moment, count in recorded.items() if count == 0)
        earliest = min(m for m, count in recorded.items() if count == trial_count and m > latest)
        moment = (latest + earliest) // 2
        assert moment not in recorded, f"both shards were recorded between {latest} and {earliest}"
        recorded[moment] = kill_and_resume(moment)


def test_an_execution_at_work_is_left_alone(workplace: Path, small_study: Study) -> None:
    store = open_store()
    with pytest.raises(RuntimeError), failing("summarise"):
        robustness(small_study)
    (run,) = executions(store.client)
    assert run.info.status == "FAILED"
    assert (left := find_unfinished(store, small_study)) is not None
    assert left.info.run_id == run.info.run_id
    with hold_lease(store.client, run.info.run_id):
        with pytest.raises(InputError, match="still running"):
            find_unfinished(store, small_study)
        with (
            pytest.raises(InputError, match="another process is running"),
            hold_lease(store.client, run.info.run_id),
        ):
            pass
    assert LEASE_TAG not in store.client.get_run(run.info.run_id).data.tags
    # Its owner died, and left the tag: nobody is at work.
    dead = {"host": socket.gethostname(), "pid": 2**22 + 1, "started": 0.0, "heartbeat": time.time()}
    store.client.set_tag(run.info.run_id, LEASE_TAG, json.dumps(dead))
    assert find_unfinished(store, small_study) is not None
    # On another host only the heartbeat tells.
    for age, is_free in ((0.0, False), (1000.0, True)):
        elsewhere = dead | {"host": "elsewhere", "heartbeat": time.time() - age}
        store.client.set_tag(run.info.run_id, LEASE_TAG, json.dumps(elsewhere))
        if is_free:
            assert find_unfinished(store, small_study) is not None
        else:
            with pytest.raises(InputError, match="still running"):
                find_unfinished(store, small_study)
    outcome = robustness(small_study, resume=True)
    assert outcome["study_run_id"] == run.info.run_id
    assert len(executions(store.client)) == 1
    assert find_unfinished(store, small_study) is None


def test_an_execution_by_other_code_is_refused_by_both_digests(workplace: Path, small_study: Study) -> None:
    store = open_store()
    with pytest.raises(RuntimeError), failing("summarise"):
        robustness(small_study)
    (run,) = executions(store.client)
    store.client.set_tag(run.info.run_id, "regress.code", "0123456789abcdef")
    with pytest.raises(
        InputError, match=r"other code \(0123456789abcdef, this is [0-9a-f]{16}\).*a new one starts"
    ):
        robustness(small_study, resume=True)
    other = small_study.model_copy(update={"seed": 1})
    assert find_unfinished(store, other) is None


def test_a_damaged_checkpoint_is_trained_again(workplace: Path, small_study: Study) -> None:
    with pytest.raises(RuntimeError), failing("summarise"):
        robustness(small_study)
    client = MlflowClient()
    (run,) = executions(client)
    files = sorted(Path(os.environ["REGRESS_HOME"], "checkpoints", run.info.run_id).glob("*.npz"))
    assert len(files) == 2
    files[0].write_bytes(files[0].read_bytes()[:1000])
    robustness(small_study, resume=True)
    whole = robustness(small_study)
    assert results(client, run.info.run_id, workplace) == results(client, whole["study_run_id"], workplace)


@contextmanager
def failing(step: str) -> Iterator[None]:
    """Within the context a step of the flow fails."""
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("on purpose")

        patch.setattr(f"flows.robustness.{step}", fail)
        yield


def start(
    workplace: Path,
    *arguments: str,
    file_limit: int | None = None,
    **environment: str,
) -> subprocess.Popen[str]:
    """The command in a process of its own, which may write files of so many KiB; MLflow asks only twice."""
    # Where the tests run in a shell's background the signal would be ignored, in every child.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from flows.cli.main import main; main()", *arguments]
    if file_limit is not None:
        command = ["bash", "-c", 'ulimit -f "$0"; exec "$@"', str(file_limit), *command]
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "PREFECT_API_URL": api_url()}
    return subprocess.Popen(
        command,
        cwd=workplace,
        env=os.environ | quick | environment,
        text=True,
        stdout=-1,
        stderr=-2,
    )


def api_url() -> str:
    from prefect.settings import get_current_settings

    return str(get_current_settings().api.url)


def await_line(process: subprocess.Popen[str], part: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if part in line:
            return
    raise AssertionError(f"no line with {part!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_how_to_go_on(workplace: Path, number: signal.Signals) -> None:
    arguments = ["run", "default", "--set", "replicates=2", "--set", "epochs=2"]
    with start(workplace, *arguments) as process:
        await_line(process, "trials tracked")
        process.send_signal(number)
        output, _ = process.communicate(timeout=250)
        assert process.returncode == 130
        assert output.splitlines()[-1] == (
            "regress: interrupted; resume with:"
            f" {shown_command('regress')} run default --set replicates=2 --set epochs=2 --resume"
        )
        assert "Traceback" not in output
    store = open_store()
    found = store.client.get_experiment_by_name("default")
    assert found
    (run,) = store.client.search_runs([found.experiment_id], "tags.`regress.kind` = 'study'")
    assert run.info.status == "KILLED"
    before = trials(store.client, run)
    assert 0 < len(before) < 324
    with start(workplace, *arguments, "--resume") as process:
        output, _ = process.communicate(timeout=250)
        assert process.returncode == 0, output
        assert f"Resuming the execution {run.info.run_id}." in output
    assert before.items() <= trials(store.client, run).items()
    assert len(trials(store.client, run)) == 324


def test_a_server_that_goes_away_ends_with_75_and_its_return_is_enough(workplace: Path) -> None:
    port = free_port()
    fields = ["orders=shuffled,signed", "losses=l2", "replicates=2", "epochs=2"]
    arguments = ["run", *(part for field in fields for part in ("--set", field))]
    uri = f"http://127.0.0.1:{port}"
    with server(workplace, port) as first, start(workplace, *arguments, MLFLOW_TRACKING_URI=uri) as process:
        await_line(process, "trials tracked")
        first.terminate()
        first.wait()
        output, _ = process.communicate(timeout=250)
        assert process.returncode == 75, output
        assert "--resume" in output.splitlines()[-1]
        assert "Traceback" not in output
    with server(workplace, port):
        with start(workplace, *arguments, "--resume", MLFLOW_TRACKING_URI=uri) as process:
            output, _ = process.communicate(timeout=250)
            assert process.returncode == 0, output
        client = MlflowClient(uri)
        found = client.get_experiment_by_name("default")
        assert found
        (run,) = client.search_runs([found.experiment_id], "tags.`regress.kind` = 'study'")
        assert run.info.status == "FINISHED"
        assert len(trials(client, run)) == 72


def test_four_executions_at_once_on_a_fresh_store(tmp_path: Path) -> None:
    fields = ["contaminations=clean", "orders=shuffled", "losses=l2", "replicates=2", "epochs=2"]
    arguments = ["run", *(part for field in fields for part in ("--set", field))]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    processes = [start(tmp_path, *arguments, MLFLOW_TRACKING_URI=uri) for _ in range(4)]
    for process in processes:
        output, _ = process.communicate(timeout=250)
        assert process.returncode == 0, output
    client = MlflowClient(uri)
    found = client.get_experiment_by_name("default")
    assert found
    runs = client.search_runs([found.experiment_id], "tags.`regress.kind` = 'study'")
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert [len(trials(client, run)) for run in runs] == [12] * 4


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def check_crashed(killed: Run) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(killed.data.tags["prefect.flow_run_id"])
    assert flow_run.state is not None
    assert flow_run.state.name == "Crashed"
