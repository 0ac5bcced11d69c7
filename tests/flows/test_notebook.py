"""`regress notebook`, end to end on a small ensemble."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.cli.main import execute
from regress import notebook

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def quick_exercises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep only exercises of three epochs."""
    kept = ("absolute loss", "ohm", "tail batch")
    monkeypatch.setattr(notebook, "EXERCISES", tuple(e for e in notebook.EXERCISES if e.name in kept))


def test_the_command_exits_0_if_all_numbers_are_inside_and_the_control_is_outside(
    workplace: Path, quick_exercises: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["notebook", "--replicates", "400", "--json", "out.json"]) == 0
    printed = capsys.readouterr().out
    assert "6 of 6 printed numbers inside" in printed
    outcome = json.loads(Path("out.json").read_text())
    assert set(outcome) == {"rows", "controls"}
    assert all(row["inside"] is not False for row in outcome["rows"])
    assert [row["expected"] for row in outcome["controls"]] == ["outside"] * 3
    client = MlflowClient()
    experiment = client.get_experiment_by_name("notebook")
    runs = client.search_runs([experiment.experiment_id])
    by_name = {run.info.run_name: run for run in runs}
    assert {"absolute loss", "ohm", "tail batch", "second derivative"} <= set(by_name)
    assert all(run.info.status == "FINISHED" for run in runs)
    files = [file.path for file in client.list_artifacts(by_name["ohm"].info.run_id)]
    assert files == ["ensemble.png", "ohm.png"]
    assert "truth minus estimate/R minus estimate/median" in by_name["ohm"].data.metrics


def test_a_changed_number_exits_1(
    workplace: Path,
    quick_exercises: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ohm = next(e for e in notebook.EXERCISES if e.name == "ohm")
    wrong = replace(ohm, fits=(replace(ohm.fits[0], printed=(3.010, -0.0321)),))
    monkeypatch.setattr(notebook, "EXERCISES", (wrong,))
    assert execute(["notebook", "--replicates", "100"]) == 1
    assert "OUTSIDE" in capsys.readouterr().out


def test_a_control_inside_exits_1(
    workplace: Path,
    quick_exercises: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    absolute = next(e for e in notebook.EXERCISES if e.name == "absolute loss")
    monkeypatch.setattr(notebook, "CONTROL", replace(absolute, fits=absolute.fits[:1]))
    assert execute(["notebook", "--replicates", "400"]) == 1
    assert "INSIDE" in capsys.readouterr().out


def test_too_few_replicates_are_bad_input(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["notebook", "--replicates", "1"]) == 2
    assert "--replicates" in capsys.readouterr().err
