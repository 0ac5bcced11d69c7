"""Reruns of recorded executions, through the real flow and the command, against a real store."""

import io
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from mlflow import MlflowClient
from PIL import Image

from flows.cli.main import execute
from flows.reproduce import NotReproduced, reproduce
from flows.robustness import robustness
from regress.fleet import compiled, general
from regress.metrics.results import write_parquet
from regress.numerics import streams
from regress.study import Study
from regress.study.load import load
from regress.tracking.execution import begin_execution, finish_execution, log_files, log_study
from regress.tracking.store import open_store
from tests.flows.test_resume import failing
from tests.helpers import execute as run_shards
from tests.processors import another_processor, plain, python

pytestmark = pytest.mark.usefixtures("prefect_server")

Edit = Callable[[bytes], bytes]


def recorded(study: Study, edits: Mapping[str, Edit | None] | None = None) -> str:
    """Return the run id of an execution of `study` with edited files; None deletes the file."""
    store = open_store()
    execution = begin_execution(store, study, "somebody", {})
    log_study(execution, study)
    comparison = {"best": [], "diverged_trials": 0, "orders": [], "study": study.name}
    log_files(
        execution,
        {
            "results.parquet": results(study),
            "comparison.json": json.dumps(comparison).encode(),
        },
    )
    client, run_id = store.client, execution.run_id
    for name, edit in (edits or {}).items():
        file = Path(client.get_run(run_id).info.artifact_uri, name)
        if edit is None:
            file.unlink()
        else:
            log_files(execution, {name: edit(file.read_bytes())})
    finish_execution(execution, {})
    return run_id


def results(study: Study) -> bytes:
    return write_parquet([shard.table for shard in run_shards(study)])


def rerun(run: str) -> dict[str, Any]:
    """Return the flow's outcome, whether or not the numbers hold."""
    try:
        outcome = reproduce(run)
    except NotReproduced as error:
        outcome = error.outcome
    assert isinstance(outcome, dict)
    return outcome


def one_ulp_up(row: int, column: str = "param_error") -> Edit:
    """Return an edit that raises one number by one ULP."""

    def edit(content: bytes) -> bytes:
        table = pq.read_table(io.BytesIO(content))
        values = table[column].to_numpy().copy()
        values[row] = np.nextafter(values[row], np.inf)
        table = table.set_column(table.schema.get_field_index(column), column, pa.array(values))
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        return buffer.getvalue()

    return edit


def with_fields(**fields: object) -> Edit:
    return lambda content: yaml.safe_dump(yaml.safe_load(content) | fields).encode()


def test_an_execution_holds_and_both_runs_are_tagged(
    workplace: Path, small_study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    executed = robustness(small_study)
    run_id = executed["study_run_id"]
    assert execute(["reproduce", "latest", "--json", "out.json"]) == 0
    shown = capsys.readouterr().out
    outcome = json.loads(Path("out.json").read_text())
    assert outcome["run_id"] == run_id
    assert outcome["verdict"] == "HOLDS"
    assert outcome["verdicts"] == dict.fromkeys(("bits", "tolerance", "statistics", "oracle"), "HOLDS")
    assert [control["ok"] for control in outcome["controls"]] == [True] * 5
    assert outcome["first_difference"] is None
    assert outcome["environment"] == {}
    assert "All 5 controls came out as expected" in shown

    client = MlflowClient()
    tags = client.get_run(run_id).data.tags
    assert (tags["regress.verdict"], tags["regress.rerun"]) == ("HOLDS", outcome["rerun_id"])
    rerun_run = client.get_run(outcome["rerun_id"])
    assert rerun_run.info.status == "FINISHED"
    assert rerun_run.info.experiment_id == executed["experiment_id"]
    assert rerun_run.data.tags["regress.kind"] == "rerun"
    assert rerun_run.data.tags["regress.reproduces"] == run_id
    assert "| bits | HOLDS |" in rerun_run.data.tags["mlflow.note.content"]
    assert rerun_run.data.metrics["holds"] == 1
    files = {file.path for file in client.list_artifacts(outcome["rerun_id"])}
    assert files == {"verdict.json", "verdict.md", "environment.json", "statistics.parquet"}
    # A rerun tracks no trial and registers no model.
    assert len(client.search_runs([executed["experiment_id"]], "tags.`regress.kind` = 'study'")) == 1
    assert not client.search_registered_models()

    assert execute(["reproduce", "--history", "--json", "history.json"]) == 0
    assert "✓" in capsys.readouterr().out
    (recorded_rerun,) = json.loads(Path("history.json").read_text())
    assert recorded_rerun["reproduces"] == run_id
    assert recorded_rerun["verdict"] == "HOLDS"


def test_bits_hold_across_threads_and_an_interruption(
    workplace: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError), failing("summarise"):
        robustness(small_study)
    run_id = robustness(small_study, resume=True)["study_run_id"]
    monkeypatch.setattr(general, "_RESIDUALS", 100)
    monkeypatch.setattr(compiled, "_REARRANGED", 100)
    torch.set_num_threads(2)
    try:
        outcome = rerun(run_id)
    finally:
        torch.set_num_threads(1)
    assert outcome["verdicts"]["bits"] == "HOLDS"
    assert outcome["verdict"] == "HOLDS"


def test_bits_hold_on_another_processor(workplace: Path, small_study: Study) -> None:
    run_id = recorded(small_study)
    completed = subprocess.run(
        python("from flows.cli.main import main; main()", "reproduce", run_id, "--json", "verdict.json"),
        cwd=workplace,
        env=another_processor(
            {k: v for k, v in plain().items() if not k.startswith("PREFECT_")}
            | {"PREFECT_HOME": str(workplace / "prefect"), "COLUMNS": "200"}
        ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    outcome = json.loads(Path("verdict.json").read_text())
    assert outcome["verdicts"]["bits"] == "HOLDS"
    assert outcome["reasons"]["bits"] == "all 96 rows are equal bit for bit, on another processor"
    assert set(outcome["environment"]) >= {"switches"}
    assert "NUMBA_CPU_NAME=generic" in outcome["environment"]["switches"][1]


def test_one_ulp_in_the_record_is_drift(workplace: Path, small_study: Study) -> None:
    table = pq.read_table(io.BytesIO(results(small_study)))
    index = 37
    run_id = recorded(small_study, {"results.parquet": one_ulp_up(index)})
    outcome = rerun(run_id)
    assert outcome["verdicts"] == {
        "bits": "DRIFTED",
        "tolerance": "HOLDS",
        "statistics": "HOLDS",
        "oracle": "HOLDS",
    }
    assert outcome["verdict"] == "DRIFTED"
    row = table.slice(index, 1).to_pylist()[0]
    assert outcome["first_difference"] == {
        **{name: row[name] for name in ("trial", "epoch", "replicate")},
        "ulps": 1,
    }
    client = MlflowClient()
    assert client.get_run(run_id).data.tags["regress.verdict"] == "DRIFTED"
    png = Path(client.download_artifacts(outcome["rerun_id"], "plots/drift.png"))
    assert len(Image.open(png).convert("RGB").getcolors(1 << 20)) > 20
    differences = pq.read_table(client.download_artifacts(outcome["rerun_id"], "differences.parquet"))
    assert differences.num_rows == 1
    assert differences["columns"].to_pylist() == ["param_error"]


def test_another_stream_of_random_numbers_is_drift(
    workplace: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(small_study)
    original = streams.random_words
    monkeypatch.setattr(
        streams, "random_words", lambda n, seed, purpose, *rest: original(n, seed, purpose + "!", *rest)
    )
    outcome = rerun(run_id)
    assert outcome["verdicts"]["bits"] == outcome["verdicts"]["tolerance"] == "DRIFTED"
    assert outcome["verdicts"]["statistics"] == "HOLDS"


def test_another_learning_rate_in_the_recorded_study_is_drift(workplace: Path, small_study: Study) -> None:
    run_id = recorded(small_study, {"study.yaml": with_fields(lrs=[0.031, 5.0])})
    outcome = rerun(run_id)
    assert outcome["verdicts"]["bits"] == "DRIFTED"
    assert outcome["first_difference"]["ulps"] is None


def test_a_trainer_with_doubled_learning_rates_is_drift_in_all_three_checks(
    workplace: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(small_study)
    from regress.pipeline import steps

    original = steps.Lane
    monkeypatch.setattr(steps, "Lane", lambda loss, lr: original(loss, 2 * lr))
    verdicts = rerun(run_id)["verdicts"]
    assert {verdicts[name] for name in ("bits", "tolerance", "statistics")} == {"DRIFTED"}


def test_bits_are_not_checked_in_another_environment(
    workplace: Path, small_study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    def older(content: bytes) -> bytes:
        environment = json.loads(content)
        environment["packages"]["torch"] = "2.12.0"
        for name in ("files", "vector_instructions", "libc", "switches"):
            del environment[name]  # as earlier versions recorded it
        return json.dumps(environment).encode()

    recorded(small_study, {"environment.json": older, "results.parquet": one_ulp_up(3)})
    assert execute(["reproduce", "--json", "out.json"]) == 0
    outcome = json.loads(Path("out.json").read_text())
    assert outcome["verdicts"]["bits"] is None
    assert outcome["verdicts"]["tolerance"] == outcome["verdicts"]["statistics"] == "HOLDS"
    assert "the first is epoch" in outcome["reasons"]["bits"]
    assert outcome["environment"]["packages.torch"][0] == "2.12.0"
    assert "2.12.0" in capsys.readouterr().out


def test_a_trainer_that_ignores_the_seed_is_inconclusive(
    workplace: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = streams.random_words
    monkeypatch.setattr(streams, "random_words", lambda n, seed, *rest: original(n, 0, *rest))
    recorded(small_study)
    assert execute(["reproduce", "latest", "--json", "out.json"]) == 3
    outcome = json.loads(Path("out.json").read_text())
    assert outcome["verdicts"]["bits"] == "HOLDS"
    assert outcome["verdict"] == "INCONCLUSIVE"
    assert {"name": "bits: seed + 1", "caught": False, "ok": False} in outcome["controls"]


def test_drift_makes_the_command_exit_1_and_the_flow_run_fail(workplace: Path, small_study: Study) -> None:
    run_id = recorded(small_study, {"results.parquet": one_ulp_up(0)})
    assert execute(["reproduce", run_id]) == 1
    state = reproduce(run_id, return_state=True)
    assert state.is_failed()
    assert state.message == f"DRIFTED: small {run_id}"

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        artifacts = {a.key: str(a.data) for a in client.read_artifacts(flow_run_filter=mine)}
    assert "**DRIFTED**" in artifacts["verdict"]
    assert "/runs/" in artifacts["rerun"]


def test_baseline_reruns_the_baseline_of_every_experiment(workplace: Path, small_study: Study) -> None:
    first = recorded(small_study)
    recorded(small_study)
    pinned = recorded(small_study)
    ohm = load("ohm", ["name=other", "lrs=.003,.03", "epochs=2"])
    ohm_run = recorded(ohm, {"results.parquet": one_ulp_up(0)})
    assert {row["run_id"] for row in rerun("baseline")["reruns"]} == {first, ohm_run}
    assert execute(["baseline", pinned]) == 0
    assert execute(["baseline", first]) == 0
    assert execute(["baseline", pinned]) == 0
    outcome = rerun("baseline")
    assert {row["run_id"] for row in outcome["reruns"]} == {pinned, ohm_run}
    assert outcome["run_id"] == ohm_run
    assert outcome["verdict"] == "DRIFTED"
    client = MlflowClient()
    assert "regress.baseline" not in client.get_run(first).data.tags
    assert client.get_run(ohm_run).data.tags["regress.verdict"] == "DRIFTED"


def test_a_missed_night_is_reported(workplace: Path, small_study: Study) -> None:
    run_id = recorded(small_study)
    MlflowClient().set_tag(run_id, "regress.verdict_at", "2026-01-01T03:00:00+00:00")
    outcome = rerun(run_id)
    assert outcome["hours_since_last_verdict"] > 36
    note = MlflowClient().get_run(outcome["rerun_id"]).data.tags["mlflow.note.content"]
    assert "nights missed" in note


NOT_A_STUDY = b"- a list"
BAD_RECORDS: dict[str, tuple[dict[str, Edit | None], str]] = {
    "no results": ({"results.parquet": None}, "has no readable results.parquet"),
    "no environment": ({"environment.json": None}, "has no readable environment.json"),
    "no study": ({"study.yaml": None}, "has no readable study.yaml"),
    "damaged results": ({"results.parquet": lambda c: c[:500]}, "results.parquet of"),
    "other columns": (
        {"results.parquet": lambda c: other_columns()},
        "its columns are not those of a study's results",
    ),
    "a damaged environment": ({"environment.json": lambda c: c[:50]}, "environment.json of"),
    "no mapping": ({"study.yaml": lambda c: NOT_A_STUDY}, "not a mapping"),
    "a newer study": (
        {"study.yaml": with_fields(momentum=0.9)},
        "by a newer version: its study has momentum",
    ),
    "a newer loss": ({"study.yaml": with_fields(losses=["l3"])}, "'l3' is unknown"),
}


def other_columns() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": [1.0]}), buffer)
    return buffer.getvalue()


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the sentence with which a command line is refused; no rerun may have begun."""
    capsys.readouterr()
    assert execute(arguments) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("regress: ")
    assert sentence.count("\n") == 1
    client = MlflowClient()
    experiment_ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert not client.search_runs(experiment_ids, "tags.`regress.kind` = 'rerun'")
    return sentence


def test_records_that_cannot_be_read_are_bad_input(
    workplace: Path, small_study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    for case, (edits, expected) in BAD_RECORDS.items():
        run_id = recorded(small_study, edits)
        sentence = refused(["reproduce", run_id], capsys)
        assert expected in sentence, case
        assert run_id in sentence, case


def test_runs_that_are_no_executions_are_bad_input(
    workplace: Path, small_study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in ("baseline", "latest"):
        assert "holds no finished execution" in refused(["reproduce", run], capsys)
    assert "no run '0123'" in refused(["reproduce", "0123"], capsys)
    store = open_store()
    unfinished = begin_execution(store, small_study, "somebody", {})
    assert "RUNNING" in refused(["baseline", unfinished.run_id], capsys)
    store.client.delete_run(unfinished.run_id)
    assert "is deleted" in refused(["reproduce", unfinished.run_id], capsys)


def test_a_missing_or_changed_table_is_bad_input(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{x},{3 * x + x % 7}" for x in range(40)]
    file = Path("my.csv")
    file.write_text("\n".join(["x,y", *rows]))
    study = load("default", ['problem=table(path="my.csv", target="y")', "name=mine", "batch_sizes=8"])
    study = study.model_copy(
        update={"contaminations": study.contaminations[:1], "lrs": (0.03,), "epochs": 2}
    )
    run_id = recorded(study)
    assert rerun(run_id)["verdicts"]["bits"] == "HOLDS"
    client = MlflowClient()
    (rerun_run,) = client.search_runs(
        [client.get_run(run_id).info.experiment_id], "tags.`regress.kind` = 'rerun'"
    )
    client.delete_run(rerun_run.info.run_id)
    file.write_text("\n".join(["x,y", *rows[:-1], "39,0"]))
    sentence = refused(["reproduce", run_id], capsys)
    assert f"the table my.csv has changed since {run_id} was recorded" in sentence
    file.unlink()
    assert "cannot read the table my.csv: No such file" in refused(["reproduce", run_id], capsys)


def test_a_recorded_study_runs_again_with_other_fields(
    workplace: Path, small_study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = recorded(small_study)
    assert execute(["run", "--from", run_id, "--set", "epochs=2", "--json", "out.json"]) == 0
    second_run_id = json.loads(Path("out.json").read_text())["study_run_id"]
    capsys.readouterr()
    assert execute(["diff", run_id, second_run_id, "--json", "diff.json"]) == 0
    shown = capsys.readouterr().out
    assert "epochs" in shown
    differences = json.loads(Path("diff.json").read_text())
    assert differences["study"] == {"epochs": [3, 2]}
    assert differences["trials"] == [8, 8]
    assert differences["shared_trials"] == 0
    assert execute(["diff", run_id, run_id]) == 0
    assert "8 in both, all bit for bit equal" in capsys.readouterr().out
    assert execute(["run", "default", "--from", run_id]) == 2


def test_an_execution_of_a_dirty_work_tree_records_its_diff(
    workplace: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regress.tracking import environment

    git_output = {"ls-files": "new.py\n", "diff": "-1\n+2\n"}
    monkeypatch.setattr(environment, "_git", lambda *arguments: git_output[arguments[0]])
    assert environment.uncommitted_diff() == b"-1\n+2\n# not in the repository: new.py\n"
    git_output["diff"] = "x" * (3 << 20)
    content = environment.uncommitted_diff()
    assert content is not None
    assert len(content) < 1.1 * (1 << 20)
    assert b"cut off" in content
    git_output |= {"ls-files": "", "diff": ""}
    assert environment.uncommitted_diff() is None
