"""Disks that are full, values that are long: one sentence, nothing half-written, and a way back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.runtime.shown_command import shown_command
from regress.study import Study
from regress.tracking.execution import begin_execution, log_study
from regress.tracking.store import open_store
from tests.flows.test_resume import api_url, start, trials

# Runs a study for each path that it is given, which is closed to writing meanwhile; prints the exit codes.
CLOSED = """
import sys
from pathlib import Path
from flows.cli.main import execute

for place in map(Path, sys.argv[1:]):
    mode = place.stat().st_mode
    place.chmod(mode & ~0o222)
    print(execute(["run", "stackloss"]))
    place.chmod(mode)
"""

ARGUMENTS = ["run", "--set", "replicates=2", "--set", "epochs=2"]


@pytest.mark.usefixtures("prefect_server")
def test_a_disk_that_fills_up_ends_with_75_and_room_is_enough_to_go_on(workplace: Path) -> None:
    limit = (workplace / "mlflow.db").stat().st_size // 1024 + 1024
    process = start(workplace, *ARGUMENTS, file_limit=limit)
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 75, output
    assert output.splitlines()[-1].endswith(
        f"; resume with: {shown_command('regress')} run --set replicates=2 --set epochs=2 --resume"
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
    study = Study(**{"name": "long", "lrs": lrs})
    execution = begin_execution(open_store(), study, "somebody", {})
    log_study(execution, study)
    recorded = MlflowClient().get_run(execution.run_id).data.params["lrs"]
    assert len(recorded) == 6000
    assert recorded.endswith("…")
    log_study(execution, study)  # as a resumed attempt does


def as_anybody() -> list[str]:
    """What takes from root the right to write everywhere; other users have none."""
    if os.getuid() != 0:
        return []
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]


@pytest.mark.skipif(
    os.getuid() == 0 and shutil.which("setpriv") is None and os.environ.get("CI") != "true",
    reason="root may write anywhere, and there is no setpriv to take that away",
)
@pytest.mark.usefixtures("prefect_server")
def test_where_nothing_may_be_written_nothing_is(workplace: Path) -> None:
    for name in ("mlruns", "home", "home/stores"):
        (workplace / name).mkdir()
    where = workplace.resolve()
    done = subprocess.run(
        [*as_anybody(), sys.executable, "-c", CLOSED, ".", "mlflow.db", "mlruns", "home"],
        cwd=workplace,
        env=os.environ | {"PREFECT_API_URL": api_url()},
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )
    cannot = "MLFLOW_TRACKING_URI: cannot open"
    store = f"MLFLOW_TRACKING_URI: {where}/mlflow.db"
    recorded = "is not writable, expected that runs can be recorded there"
    assert done.stderr.splitlines() == [
        f"regress: {cannot} {where}/mlflow.db: attempt to write a readonly database",
        f"regress: {store} {recorded}",
        f"regress: artifacts: {where}/mlruns {recorded}",
        f"regress: REGRESS_HOME: {where}/home is not writable, expected a folder that is",
    ]
    assert done.stdout.split() == ["2"] * 4
    assert open_store().client.get_experiment_by_name("stackloss") is None
