"""From a table of one's own to a model that predicts: the real flow, stores and MLflow command."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from flows.cli.main import execute
from flows.runtime.shown_command import shown_command

pytestmark = pytest.mark.usefixtures("prefect_server")

FIELDS = ["name=mine", "epochs=40", "replicates=3", "batch_sizes=8", "lrs=.1,100", "losses=l2,l1"]
ABSENT = ("regress", "tasks", "flows", "torch", "scipy", "sklearn", "prefect")


@pytest.fixture
def table(workplace: Path) -> pd.DataFrame:
    """Rows exactly on a plane, whole numbers in one column, as `my.csv`."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"hours": rng.integers(0, 50, 60), "mean load": rng.normal(300, 40, 60)})
    frame["cost"] = 3.0 * frame.hours - 0.5 * frame["mean load"] + 20.0
    frame.to_csv("my.csv", index=False)
    return frame


def run_study(*fields: str) -> int:
    sets = [part for field in (*FIELDS, *fields) for part in ("--set", field)]
    return execute(
        ["run", *sets, "--set", 'problem=table(path="my.csv", target=cost)', "--json", "out.json"]
    )


def without(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """An environment in which no Python finds the modules `names`."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {names!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(folder)}


def test_the_printed_command_predicts_where_neither_regress_nor_torch_is(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_study() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"Model: mine version 1 (champion): {shown_command('mlflow')} models predict ")
    command = shlex.split(last.partition("(champion): ")[2].replace("FILE", "my.csv"))
    done = subprocess.run(
        command,
        env=without(tmp_path / "site", ABSENT),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)["predictions"]
    np.testing.assert_allclose([row["cost"] for row in answer], table.cost, atol=1e-3)


def test_the_model_lies_on_a_tracking_server(
    table: pd.DataFrame, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    assert run_study("name=served", "lrs=.1", "losses=l2") == 0
    outcome = json.loads(Path("out.json").read_text())
    assert outcome["model"] == {"name": "served", "version": "1", "uri": "models:/served@champion"}
    predicted = mlflow.pyfunc.load_model(outcome["model"]["uri"]).predict(table)
    np.testing.assert_allclose(predicted.cost, table.cost, atol=1e-3)
    client = MlflowClient(mlflow_server)
    assert client.get_run(outcome["study_run_id"]).data.tags["regress.model"] == "served/1"
    study = Path(client.download_artifacts(outcome["study_run_id"], "study.yaml")).read_text()
    assert yaml.safe_load(study)["register"] is True


def test_a_study_told_not_to_registers_nothing(
    table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_study("register=false") == 0
    assert "Model:" not in capsys.readouterr().out
    assert json.loads(Path("out.json").read_text())["model"] is None
    assert MlflowClient().search_registered_models() == []


def test_without_a_winner_one_line_says_so(table: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study("lrs=100", "losses=l2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Model: none registered, no winner stayed finite"
    assert json.loads(Path("out.json").read_text())["model"] is None
    assert MlflowClient().search_registered_models() == []
