"""The command as people use it: what it prints, what it leaves, how it refuses."""

import gc
import io
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from flows.cli.main import execute
from tests.ports import free_port

SMALL = [
    "problem=linear(rows=60, val=30)",
    "losses=l2,huber(delta=1.0)",
    "lrs=.03,3",
    "sigmas=0.01",
    "orders=shuffled,signed",
    "contaminations=clean",
    "epochs=2",
    "batch_sizes=16",
    "replicates=2",
]


def with_sets(*fields: str) -> list[str]:
    return [part for field in fields for part in ("--set", field)]


BAD_INPUT = {
    "an unknown study": (["run", "defalt"], "did you mean default?"),
    "a missing file": (["run", "no.yaml"], "cannot read no.yaml"),
    "an unknown field": (
        ["run", "--set", "epoch=3"],
        "epoch: a study has no such field; did you mean epochs?",
    ),
    "no assignment": (["run", "--set", "epochs"], "not of the form field=value"),
    "an unknown loss": (["run", "--set", "losses=hubr"], "'hubr' is unknown; did you mean huber?"),
    "an unknown argument": (["run", "--set", "losses=huber(delt=1)"], "did you mean delta?"),
    "a negative lr": (["run", "--set", "lrs=.03,-1"], "lrs.1: input should be greater than 0"),
    "a negative sigma": (
        ["run", "--set", "sigmas=-1"],
        "sigmas.0: input should be greater than or equal to 0",
    ),
    "a negative delta": (
        ["run", "--set", "losses=huber(delta=-1)"],
        "huber(delta): input should be greater",
    ),
    "a fraction of one": (
        ["run", "--set", "contaminations=vertical(fraction=1.0, shift=1)"],
        "vertical(fraction): input should be less than 1",
    ),
    "a batch of too many rows": (
        ["run", "--set", "batch_sizes=1001"],
        "1001 is more than the 1000 training rows",
    ),
    "an empty list": (["run", "--set", "lrs="], "lrs: the list is empty"),
    "a duplicate": (["run", "--set", "lrs=.3,.30"], "lrs: 0.3 appears twice"),
    "a path for a name": (["run", "--set", "name=../up"], "name: '../up' has other characters"),
    "a missing table": (
        ["run", "--set", 'problem=table(path="no.csv", target="y")'],
        "cannot read the table no.csv: No such file",
    ),
    "a text in a table": (
        ["run", "--set", 'problem=table(path="text.csv", target="y")'],
        "has 'three' in row 3, column 'x', expected a number",
    ),
    "a nan in a table": (
        ["run", "--set", 'problem=table(path="hole.csv", target="y")'],
        "has nothing in row 2, column 'y', expected a number",
    ),
    "a constant column": (
        ["run", "--set", 'problem=table(path="flat.csv", target="y")'],
        "has the constant column 'x'",
    ),
    "a missing target": (
        ["run", "--set", 'problem=table(path="flat.csv", target="z")'],
        "has no target column 'z'",
    ),
    "an empty table": (
        ["run", "--set", 'problem=table(path="empty.csv", target="y")'],
        "cannot read the table empty.csv",
    ),
    "a json file nowhere": (["run", "--json", "nowhere/out.json"], "--json: cannot write nowhere/out.json"),
    "an unknown run": (["show", "0" * 32], "RUN: no run"),
    "an unknown command": (["rum"], "rum"),
    "an unknown option": (["run", "--sett", "x"], "--sett"),
}


@pytest.fixture
def tables(workplace: Path) -> None:
    rows = [(i, 2.0 * i + i % 3) for i in range(8)]
    frame = pd.DataFrame(rows, columns=["x", "y"])
    frame.astype({"x": object}).assign(x=lambda f: f.x.where(f.index != 2, "three")).to_csv(
        "text.csv", index=False
    )
    frame.assign(y=frame.y.where(frame.index != 1)).to_csv("hole.csv", index=False)
    frame.assign(x=1.0).to_csv("flat.csv", index=False)
    Path("empty.csv").write_text("")


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_sentence_and_leaves_nothing(
    case: str, tables: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, expected = BAD_INPUT[case]
    assert execute(arguments) == 2
    output = capsys.readouterr()
    assert expected in output.err
    assert "Traceback" not in output.err
    if output.err.startswith("regress:"):
        assert output.err.count("\n") == 1
    assert MlflowClient().search_experiments(filter_string="name != 'Default'") == []


def test_an_unreachable_server_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert execute(["show"]) == 2
    assert "nothing answers at http://127.0.0.1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_executions_says_how_to_start(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["show"]) == 2
    assert "start with regress run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["show", "--help"], ["studies", "--help"]]
)
def test_every_command_has_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(arguments) == 0
    assert "Usage" in capsys.readouterr().out


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out == f"regress {version('regress')}\n"


QUICK = {
    "help": (["--help"], {}, "Usage: regress"),
    "a usage error": (["run", "--sett"], {}, "No such option"),
    "the version": (["--version"], {}, "regress 0"),
    "completion of commands": ([], {"COMP_WORDS": "regress note", "COMP_CWORD": "1"}, "notebook\n"),
    "completion of studies": (
        [],
        {"COMP_WORDS": "regress run o", "COMP_CWORD": "2"},
        "ohm\none-outlier\nordering-attacks\norders\n",
    ),
}


@pytest.mark.parametrize("case", QUICK)
def test_what_must_answer_at_once_imports_no_heavy_library(case: str, tmp_path: Path) -> None:
    arguments, variables, expected = QUICK[case]
    script = """
import atexit, sys
heavy = {"torch", "mlflow", "prefect", "numba", "pandas"}
atexit.register(lambda: print("imported:", *heavy & set(sys.modules), file=sys.stderr))
from flows.cli.main import main
main()
"""
    if variables:
        variables |= {"_REGRESS_COMPLETE": "complete_bash"}
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert expected in process.stdout + process.stderr
    assert process.stderr.endswith("imported:\n")


@pytest.mark.usefixtures("prefect_server")
def test_execute_leaves_the_process_as_it_is(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def process_wide() -> dict[str, object]:
        handlers = {number.name: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        collector = {"gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())}
        return handlers | collector | dict(os.environ)

    assert execute(["run", *with_sets(*SMALL)]) == 0  # libraries set variables when first imported
    before = process_wide()
    assert execute(["run", *with_sets(*SMALL)]) == 0
    assert execute(["show"]) == 0
    after = process_wide()
    assert {name: after.get(name) for name in after | before if after.get(name) != before.get(name)} == {}
    capsys.readouterr()


def test_studies_lists_what_ships_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["studies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("default")
    assert all(len(line.split()) > 5 for line in lines)


def test_an_internal_error_exits_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import regress.study.load

    monkeypatch.setattr(regress.study.load, "shipped", lambda: 1 / 0)
    assert execute(["studies"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_run_in_an_empty_folder_needs_no_server_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    pd.DataFrame({"x": range(40), "y": [3.0 * x + x % 7 for x in range(40)]}).to_csv(
        folder / "my.csv", index=False
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "MLFLOW")) or name == "PREFECT_SERVER_ANALYTICS_ENABLED"
    } | {"PREFECT_HOME": str(tmp_path / "prefect")}
    sets = with_sets(*SMALL[1:], "name=mine", 'problem=table(path="my.csv", target="y")')
    command = [sys.executable, "-c", "from flows.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "run", *sets, "--json", "out.json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for noise in ("ERROR", "Traceback", "WARNING", "Error"):
        assert noise not in done.stdout + done.stderr
    assert "Best shuffled trial by median |residual| on held-out rows" in done.stdout
    outcome = json.loads((folder / "out.json").read_text())
    assert f"regress show {outcome['study_run_id']}" in done.stdout
    assert outcome["trials"] == 8
    assert set(outcome["seconds"]) == {
        "open",
        "data",
        "train",
        "compare",
        "track",
        "summarise",
        "register",
    }
    assert outcome["model"] == {"name": "mine", "version": "1", "uri": "models:/mine@champion"}
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([outcome["experiment_id"]], "tags.`regress.kind` = 'trial'")
    assert len(runs) == 8
    assert str(tmp_path / "prefect") not in running_environments()


def running_environments() -> str:
    """The environments of all processes of this machine that can be read."""
    texts = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            texts.append((process / "environ").read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(texts)


@pytest.mark.usefixtures("prefect_server")
def test_adding_a_learning_rate_changes_no_other_trials_rows(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    for lrs in ("lrs=.03,3", "lrs=.03,3,1"):
        fields = [field for field in SMALL if not field.startswith("lrs")]
        assert execute(["run", *with_sets(*fields, lrs), "--json", "out.json"]) == 0
        run_id = json.loads(Path("out.json").read_text())["study_run_id"]
        file = MlflowClient().download_artifacts(run_id, "results.parquet", str(workplace))
        tables.append(pd.read_parquet(io.BytesIO(Path(file).read_bytes())))
    two, three = tables
    assert len(three) == len(two) * 3 // 2
    kept = three[three.trial.isin(two.trial)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, two, check_exact=True)
    capsys.readouterr()
    assert execute(["show"]) == 0
    assert "default: 12 trials" in capsys.readouterr().out
