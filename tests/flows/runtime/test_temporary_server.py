"""The server that a command starts: only where none is named, and only while the command runs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.flows.cli.test_command import running_environments

REGRESS = [sys.executable, "-c", "from flows.cli.main import main; main()"]
ROOT = Path(__file__).parents[3]

NAMED = {
    "the environment": {},
    "a profile": {
        "home/profiles.toml": 'active = "own"\n[profiles.own]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    },
    "a file of this folder": {"prefect.toml": '[api]\nurl = "http://127.0.0.1:9/api"\n'},
    "a dotted key": {"prefect.toml": 'api.url = "http://127.0.0.1:9/api"\n'},
    "the project's file": {"pyproject.toml": '[tool.prefect.api]\nurl = "http://127.0.0.1:9/api"\n'},
    "a .env": {".env": "PREFECT_API_URL=http://127.0.0.1:9/api\n"},
}
UNNAMED = {
    "nothing": {},
    "other settings": {
        "prefect.toml": (ROOT / "prefect.toml").read_text(),
        "home/profiles.toml": 'active = "own"\n[profiles.own]\nPREFECT_LOGGING_LEVEL = "INFO"\n',
    },
}


def in_folder(folder: Path, files: dict[str, str], script: str, **more: str) -> str:
    """What `script` prints in a new process, in a folder with `files` and a home there for Prefect."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    others = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment = others | {"PREFECT_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)} | more
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return done.stdout.strip()


SAYS = """
import os
from flows.runtime.temporary_server import start_temporary_server
start_temporary_server()
print(os.environ.get('PREFECT_API_URL'))
"""


@pytest.mark.parametrize("case", NAMED)
def test_none_is_started_where_prefect_is_told_of_one(case: str, tmp_path: Path) -> None:
    own = {"PREFECT_API_URL": "http://127.0.0.1:9/api"} if case == "the environment" else {}
    assert in_folder(tmp_path, NAMED[case], SAYS, **own) == own.get("PREFECT_API_URL", "None")


@pytest.mark.parametrize("case", UNNAMED)
def test_a_server_is_started_where_none_is_named(case: str, tmp_path: Path) -> None:
    assert in_folder(tmp_path, UNNAMED[case], SAYS).startswith("http://127.0.0.1:")


def test_it_answers_and_ends_with_its_process(tmp_path: Path) -> None:
    script = """
from flows.runtime.temporary_server import start_temporary_server
start_temporary_server()
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
with get_client(sync_client=True) as client:
    print(client.hello().json(), PREFECT_API_URL.value(), repr(PREFECT_UI_URL.value()))
"""
    said, address, page = in_folder(tmp_path, {}, script).rsplit(" ", 2)
    assert said == "👋"
    assert page == "''"
    probe = f"import requests; requests.get('{address}/health', timeout=5)"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode != 0


def test_bad_input_stops_it_at_once(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment |= {"PREFECT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*REGRESS, "run", "defalt"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == "regress: study: 'defalt' is neither a path to YAML nor shipped; did you mean default?\n"
    )
    mark = f"PREFECT_HOME={tmp_path / 'home'}"
    deadline = time.monotonic() + 60
    while mark in running_environments():
        assert time.monotonic() < deadline
        time.sleep(0.1)
