"""The real flow, end to end, every trial read back through MlflowClient."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from regress.numerics.quantiles import nearest_rank
from regress.study import Study, Trial

pytestmark = pytest.mark.usefixtures("prefect_server")


def run_flow(study: Study) -> dict[str, Any]:
    from flows.robustness import robustness

    return robustness(study)


def children(client: MlflowClient, outcome: dict[str, Any]) -> list[Run]:
    """The trials' runs."""
    mine = f"tags.`mlflow.parentRunId` = '{outcome['study_run_id']}' AND tags.`regress.kind` = 'trial'"
    return list(client.search_runs([outcome["experiment_id"]], mine, max_results=1000))


def artifact(client: MlflowClient, run_id: str, name: str, folder: Path) -> bytes:
    return Path(client.download_artifacts(run_id, name, str(folder))).read_bytes()


def check_recorded(study: Study, outcome: dict[str, Any], client: MlflowClient, folder: Path) -> None:
    """The execution and each of its trials are there, once, complete, and agree with results.parquet."""
    parent = client.get_run(outcome["study_run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["regress.kind"] == "study"
    assert parent.data.tags["regress.study"] == study.digest
    recorded = yaml.safe_load(artifact(client, parent.info.run_id, "study.yaml", folder))
    assert Study(**recorded) == study
    results = pd.read_parquet(io.BytesIO(artifact(client, parent.info.run_id, "results.parquet", folder)))
    plots = [file.path for file in client.list_artifacts(parent.info.run_id, "plots")]
    assert "plots/error-by-lr-and-sigma.png" in plots
    assert "plots/order-effect.png" in plots

    trials = {trial.digest: trial for trial in study.trials}
    runs = children(client, outcome)
    assert sorted(run.data.tags["regress.trial"] for run in runs) == sorted(trials)
    for run in runs:
        trial = trials[run.data.tags["regress.trial"]]
        check_trial(trial, run, results[results.trial == trial.digest], client, folder)


def check_trial(trial: Trial, run: Run, rows: pd.DataFrame, client: MlflowClient, folder: Path) -> None:
    assert run.info.status == "FINISHED"
    params = trial.model_dump(mode="json")
    assert run.data.params == {name: str(value) for name, value in params.items()}
    assert rows[["epoch", "replicate"]].apply(tuple, axis=1).tolist() == [
        (epoch, replicate) for epoch in range(1, trial.epochs + 1) for replicate in range(trial.replicates)
    ]
    for name in ("train_loss", "val_loss", "param_error"):
        history = {m.step: m.value for m in client.get_metric_history(run.info.run_id, name)}
        by_epoch = np.stack([rows[rows.epoch == e][name] for e in range(1, trial.epochs + 1)])
        expected = dict(enumerate(nearest_rank(by_epoch, 0.5), 1))
        assert history == {epoch: v for epoch, v in expected.items() if math.isfinite(v)}
    final = rows[rows.epoch == trial.epochs]
    assert run.data.metrics["diverged_fraction"] == final.diverged.mean()
    assert not any(abs(value) > 1e300 for value in run.data.metrics.values())
    assert ("final_param_error" in run.data.metrics) == (final.diverged.mean() < 0.5)
    (dataset,) = run.inputs.dataset_inputs
    assert str(trial.contamination) in dataset.dataset.name
    png = artifact(client, run.info.run_id, "trial.png", folder)
    image = Image.open(io.BytesIO(png))
    assert image.size == (840, 340)
    assert len(image.convert("RGB").getcolors(1 << 20)) > 20


def test_every_trial_of_a_study_is_in_a_sqlite_store(workplace: Path, small_study: Study) -> None:
    outcome = run_flow(small_study)
    assert outcome["trials"] == 8
    assert outcome["diverged_trials"] == 2
    check_recorded(small_study, outcome, MlflowClient(), workplace)


def test_every_trial_of_a_study_is_on_a_tracking_server(
    workplace: Path, small_study: Study, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    outcome = run_flow(small_study)
    check_recorded(small_study, outcome, MlflowClient(mlflow_server), workplace)


def test_every_trial_of_a_study_is_in_a_postgresql_store(
    workplace: Path, small_study: Study, postgres_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres_store)
    outcome = run_flow(small_study)
    check_recorded(small_study, outcome, MlflowClient(postgres_store), workplace)


def test_the_table_study_ranks_by_its_held_out_rows(workplace: Path) -> None:
    study = Study(
        **{
            "name": "rows",
            "problem": "table(dataset=stackloss)",
            "batch_sizes": [4],
            "epochs": 20,
            "replicates": 3,
            "orders": ["shuffled", "signed"],
        }
    )
    outcome = run_flow(study)
    (best,) = outcome["best"]
    assert best["metric"] == "val_median_abs_residual"
    client = MlflowClient()
    winner = next(r for r in children(client, outcome) if r.data.params["order"] == "shuffled")
    assert winner.data.metrics["val_median_abs_residual"] == best["median"]
    assert {"coef_AIRFLOW", "coef_intercept"} <= set(winner.data.metrics)


def test_two_executions_of_one_study_leave_equal_files(workplace: Path, small_study: Study) -> None:
    client = MlflowClient()
    files = [
        artifact(client, run_flow(small_study)["study_run_id"], "results.parquet", workplace)
        for _ in range(2)
    ]
    assert files[0] == files[1]


def test_prefect_knows_each_step_by_a_readable_name(workplace: Path, small_study: Study) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from flows.robustness import robustness
    from flows.runtime.session import await_task_states

    state = robustness(small_study, return_state=True)
    flow_run_id = state.state_details.flow_run_id
    await_task_states(flow_run_id)
    with get_client(sync_client=True) as client:
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        names = {run.name for run in client.read_task_runs(flow_run_filter=mine)}
        artifacts = {a.key: str(a.data) for a in client.read_artifacts(flow_run_filter=mine)}
    shard = "vertical(fraction=0.1, shift=10.0) · signed"
    shard = shard.replace("signed", "easy-to-hard") + " · batch 16"
    assert {f"{step} {shard}" for step in ("train", "evaluate", "plot", "track")} <= names
    assert "contaminate vertical(fraction=0.1, shift=10.0)" in names
    assert "fit references vertical(fraction=0.1, shift=10.0)" in names
    assert {"best-trials", "order-effects", "mlflow", "trials-tracked"} <= artifacts.keys()
    assert "/runs?viewStateShareKey=regress-" in artifacts["mlflow"]


def test_a_flow_that_fails_leaves_no_execution_open(
    workplace: Path, small_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flows.robustness

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(flows.robustness, "shared_scales", fail)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        run_flow(small_study)
    client = MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'small'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
