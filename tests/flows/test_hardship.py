"""Disks that are full, values that are long: one sentence, nothing half-written, and a way back."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from regress.load import validate
from regress.tracking.record import begin, describe
from regress.tracking.store import open_store
from tests.flows.test_resume import start, trials

ARGUMENTS = ["run", "--set", "replicates=2", "--set", "epochs=2"]


@pytest.mark.usefixtures("prefect_server")
def test_a_disk_that_fills_up_ends_with_75_and_room_is_enough_to_go_on(workplace: Path) -> None:
    limit = (workplace / "mlflow.db").stat().st_size // 1024 + 1024
    process = start(workplace, *ARGUMENTS, file_limit=limit)
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 75, output
    assert output.splitlines()[-1].endswith(
        "; resume with: regress run --set replicates=2 --set epochs=2 --resume"
    )
    assert "Traceback" not in output

    store = open_store()
    found = store.client.get_experiment_by_name("default")
    assert found
    (run,) = store.client.search_runs([found.experiment_id], "tags.`regress.kind` = 'study'")
    before = trials(store.client, run)  # each whole
    assert len(before) < 324
    process = start(workplace, *ARGUMENTS, "--resume")
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    assert before.items() <= trials(store.client, run).items()
    assert len(trials(store.client, run)) == 324


def test_params_longer_than_mlflow_takes_are_cut(workplace: Path) -> None:
    lrs = [1.0 + i / 1024 for i in range(1500)]
    study = validate({"name": "long", "lrs": lrs})
    execution = begin(open_store(), study, "somebody", {})
    describe(execution, study)
    recorded = MlflowClient().get_run(execution.run_id).data.params["lrs"]
    assert len(recorded) == 6000
    assert recorded.endswith("…")
    describe(execution, study)  # as a resumed attempt does
