"""The installed wheel in an empty folder, without the repository: commands, services, deployments."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from regress.study.load import shipped
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "regress", "tasks")
FILES = ("LICENSE", "README.md", "automations.yaml", "prefect.yaml", "pyproject.toml")
TINY = {"name": "tiny", "problem": "linear(rows=60, val=30)", "lrs": [0.03, 0.3], "replicates": 2}


@dataclass(frozen=True)
class Installation:
    """A wheel installed in `target`, and an empty folder to work in."""

    target: Path
    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def regress(self, *arguments: str) -> str:
        """The output of the installed command, which must succeed."""
        process = self.run(str(self.target / "bin" / "regress"), *arguments)
        assert process.returncode == 0, process.stdout + process.stderr
        assert "Traceback" not in process.stderr
        return process.stdout


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    process = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources: a build writes beside them."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installation:
    target, folder, homes = (tmp_path_factory.mktemp(name) for name in ("target", "work", "homes"))
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "REGRESS_"))
    }
    environment |= {
        "PYTHONPATH": str(target),
        "REGRESS_HOME": str(homes / "regress"),
        "PREFECT_HOME": str(homes / "prefect"),
    }
    return Installation(target, folder, environment)


@pytest.fixture(scope="module")
def prefect_api(installation: Installation) -> Iterator[str]:
    """The API of the Prefect server that the installed `regress up` starts."""
    port = free_port()
    try:
        output = installation.regress("up", "--prefect-port", str(port), "--mlflow-port", str(free_port()))
        assert "deployments  deployed" in output
        yield f"http://127.0.0.1:{port}/api"
    finally:
        installation.run(str(installation.target / "bin" / "regress"), "down")


def test_the_wheel_holds_all_data_files(installation: Installation) -> None:
    target = installation.target
    names = {file.stem for file in (target / "regress" / "study" / "shipped").iterdir()}
    assert names == set(shipped())
    assert (target / "regress" / "py.typed").is_file()
    for name in ("prefect.yaml", "automations.yaml"):
        packaged = target / "flows" / "services" / "definitions" / name
        assert not packaged.is_symlink()
        assert packaged.read_bytes() == (ROOT / name).read_bytes()


def test_neither_the_checkout_nor_an_editable_installation_is_used(installation: Installation) -> None:
    script = (
        "import flows, regress, tasks; print(*(p.__file__ for p in (flows, regress, tasks)), sep='\\n')"
    )
    output = installation.run(sys.executable, "-c", script).stdout
    assert output.split() == [str(installation.target / name / "__init__.py") for name in PACKAGES]


def test_version_and_studies(installation: Installation) -> None:
    assert installation.regress("--version") == "regress 0.1.0\n"
    assert installation.regress("studies").startswith("default")


def test_a_study_runs_and_is_reproduced(installation: Installation) -> None:
    sets = [f"--set={field}" for field in ("problem=linear(rows=60, val=30)", "lrs=.03", "epochs=2")]
    output = installation.regress("run", *sets, "--set=replicates=4", "--json", "run.json")
    outcome = json.loads((installation.folder / "run.json").read_text())
    assert f"show {outcome['study_run_id']}" in output
    assert "HOLDS" in installation.regress("reproduce", "latest")


def test_a_deployment_runs_where_up_was_started(installation: Installation, prefect_api: str) -> None:
    command = [sys.executable, "-m", "prefect", "deployment", "run", "robustness/default", "--watch"]
    process = installation.run(
        *command, "--param", f"study={json.dumps(TINY)}", PREFECT_API_URL=prefect_api
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Completed" in process.stdout
    client = MlflowClient(f"sqlite:///{installation.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.`regress.kind` = 'study'")
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith(str(installation.folder / "mlruns"))
    assert installation.regress("down").count("stopped") == 3
