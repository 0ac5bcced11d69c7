"""`regress show`: the comparison once more, and the trials behind it, read back from a real store."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.cli.main import execute
from flows.runtime.shown_command import shown_command
from regress.tracking.find import find_execution
from regress.tracking.read import read_trials
from regress.tracking.store import open_store

FIELDS = [
    "name=shown",
    "problem=linear(rows=60, val=30)",
    "contaminations=clean",
    "losses=l2,huber(delta=1.0)",
    "lrs=.03,.3,30",
    "sigmas=0,1",
    "orders=shuffled,signed",
    "epochs=2",
    "batch_sizes=16",
    "replicates=2",
]


@pytest.fixture(scope="module")
def recorded(
    migrated_store: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None
) -> Iterator[dict[str, object]]:
    """The outcome of one small study, in a store that this module's tests look at."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "mlflow.db").write_bytes(migrated_store.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        sets = [part for field in FIELDS for part in ("--set", field)]
        assert execute(["run", *sets, "--json", "out.json"]) == 0
        yield json.loads(Path("out.json").read_text())


@pytest.fixture
def shown(recorded: dict[str, object], capsys: pytest.CaptureFixture[str]) -> object:
    def show(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert execute(["show", *arguments]) == code
        output = capsys.readouterr()
        return output.err if code else output.out

    return show


def read(file: str) -> list[dict[str, str]]:
    with Path(file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_last_lines_lead_to_the_view(recorded: dict[str, object], shown: object) -> None:
    run_id = recorded["study_run_id"]
    lines = shown().splitlines()
    assert "shown: 24 trials × 2 replicates" in "\n".join(lines)
    assert lines[-2].endswith(
        f"/#/experiments/{recorded['experiment_id']}/runs?viewStateShareKey=regress-{run_id}"
        "&compareRunsMode=CHART&workflowType=machine_learning"
    )
    assert lines[-1] == f"Show this again: {shown_command('regress')} show {run_id}"


def test_a_csv_holds_every_trial_as_mlflow_does(recorded: dict[str, object], shown: object) -> None:
    assert "Wrote 24 trials to all.csv" in shown("--csv", "all.csv")
    rows = {row["run_id"]: row for row in read("all.csv")}
    runs = MlflowClient().search_runs([recorded["experiment_id"]], "tags.`regress.kind` = 'trial'")
    assert len(rows) == len(runs) == 24
    for run in runs:
        row = rows[run.info.run_id]
        assert {name: row[name] for name in run.data.params} == run.data.params
        for name in ("final_param_error", "excess_risk_q95", "coef_b", "diverged_fraction"):
            recorded_value = run.data.metrics.get(name)
            assert row[name] == ("" if recorded_value is None else repr(recorded_value))
        assert "param_error" not in row  # a history's last value may be from before the end


def test_conditions_choose_and_the_best_comes_first(shown: object) -> None:
    text = shown("--where", "loss=huber and lr<1", "--csv", "some.csv")
    assert "8 of 24 trials" in text
    rows = read("some.csv")
    assert len(rows) == 8
    assert {row["loss"] for row in rows} == {"huber(delta=1.0)"}
    assert {row["lr"] for row in rows} == {"0.03", "0.3"}
    errors = [float(row["final_param_error"]) for row in rows]
    assert errors == sorted(errors)


def test_sorting_goes_either_way_and_what_diverged_is_infinitely_far(shown: object) -> None:
    shown("--sort", "-final_param_error", "--csv", "down.csv")
    errors = [float(row["final_param_error"] or "inf") for row in read("down.csv")]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == float("inf")  # l2 at lr 30
    shown("--sort", "lr", "--csv", "lr.csv")
    lrs = [float(row["lr"]) for row in read("lr.csv")]
    assert lrs == sorted(lrs)


def test_a_long_table_says_how_to_see_the_rest(shown: object) -> None:
    assert "and 4 more: --csv FILE writes all" in shown("--sort", "lr")
    assert "more" not in shown("--where", "lr=30")


def test_what_does_not_vary_is_no_column(shown: object) -> None:
    text = shown("--where", "loss=l2 and lr=.03", "--sort", "excess_risk_q95")
    (head,) = [line for line in text.splitlines() if "final_param_error" in line]
    assert head.split() == [
        "sigma",
        "order",
        "excess_risk_q95",
        "final_param_error",
        "excess_risk",
        "diverged_fraction",
    ]


def test_where_nothing_fits_it_says_so(shown: object) -> None:
    assert "None of 24 trials" in shown("--where", "lr>100")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--where", "los=l2"], "--where: no trial has a param or metric 'los'; did you mean loss?"),
        (["--where", "loss l2"], "--where: 'loss l2' is not of the form name op value"),
        (["--where", ""], "--where: '' is not of the form"),
        (["--sort", "-final_param_eror"], "did you mean final_param_error?"),
        (["--csv", "nowhere/out.csv"], "--csv: cannot write nowhere/out.csv"),
    ],
)
def test_bad_input_gets_one_sentence(arguments: list[str], sentence: str, shown: object) -> None:
    error = shown(*arguments, code=2)
    assert error.startswith("regress: ")
    assert sentence in error
    assert error.count("\n") == 1


def test_pages_of_trials_are_put_together(
    recorded: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import regress.tracking.store

    store = open_store()
    execution = find_execution(store, "latest")
    whole = read_trials(store, execution)
    monkeypatch.setattr(regress.tracking.store, "RUNS_PER_PAGE", 7)
    assert read_trials(store, execution) == whole
    assert len(whole) == 24


@pytest.mark.usefixtures("prefect_server")
def test_a_table_s_trials_rank_by_their_held_out_rows(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = ["name=rows", "problem=table(dataset=stackloss)", "losses=l2,l1", "lrs=.003,.03"]
    fields += ["contaminations=clean", "sigmas=0", "orders=shuffled"]
    fields += ["epochs=5", "batch_sizes=4", "replicates=3"]
    assert execute(["run", *[part for field in fields for part in ("--set", field)]]) == 0
    capsys.readouterr()
    assert execute(["show", "--csv", "table.csv"]) == 0
    assert "val_median_abs_residual" in capsys.readouterr().out
    residuals = [float(row["val_median_abs_residual"]) for row in read("table.csv")]
    assert residuals == sorted(residuals)
    (run,) = MlflowClient().search_runs(["1"], "tags.`regress.kind` = 'study'")
    note = run.data.tags["mlflow.note.content"]
    assert "by median |residual| on held-out rows" in note
    assert "Compare its 4 trials" in note
