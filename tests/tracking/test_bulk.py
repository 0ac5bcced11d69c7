"""Runs written as rows are those that MLflow's client writes."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run, ViewType

from regress.tracking.runs import FinishedRun
from regress.tracking.store import Store, forget_stores, get_or_create_experiment, open_store


def finished_run(parent: str, key: str, error: float) -> FinishedRun:
    dataset = Dataset("rows of é", "0123456789abcdef", "code", "{}", profile='{"rows": 3}')
    return FinishedRun(
        name=f"huber(delta=1.0) {key} / ü",
        key=key,
        parent=parent,
        user="somebody",
        start_time=1_700_000_000_000,
        end_time=1_700_000_001_000,
        tags={"mlflow.user": "somebody", "regress.trial": key, "odd /-_. key": "värde"},
        params={"loss": "huber(delta=1.0)", "lr": "0.03", "long": "x" * 6000},
        metrics=[
            *(Metric("param_error", error / step, 1_700_000_000_500, step) for step in (1, 2, 3)),
            Metric("excess_risk", 0.5, 1_700_000_000_500, 3),
            # The same step twice: the latest is the one with the larger value.
            Metric("twice", 2.0, 1_700_000_000_500, 1),
            Metric("twice", 1.0, 1_700_000_000_500, 1),
        ],
        dataset=DatasetInput(dataset, [InputTag("mlflow.data.context", "training")]),
        files={"trial.png": b"\x89PNG", "more/notes.txt": b"text"},
    )


def described(store: Store, run: Run) -> dict[str, Any]:
    """All that the read interfaces tell of a run, less its own ids."""
    client, run_id = store.client, run.info.run_id
    again = client.get_run(run_id)
    info = {name: value for name, value in dict(again.info).items() if name not in ("run_id", "run_uuid")}
    info["artifact_uri"] = again.info.artifact_uri.replace(run_id, "RUN")
    return {
        "info": info,
        "metrics": again.data.metrics,
        "params": again.data.params,
        "tags": again.data.tags,
        "inputs": [i.to_dictionary() for i in again.inputs.dataset_inputs],
        "histories": {
            key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run_id, key)]
            for key in again.data.metrics
        },
        "artifacts": [(f.path, f.file_size) for f in client.list_artifacts(run_id)]
        + [(f.path, f.file_size) for f in client.list_artifacts(run_id, "more")],
    }


@pytest.fixture
def stores(tmp_path: Path, migrated_store: Path) -> tuple[Store, Store]:
    """Two stores alike: one to write in bulk, one through the client."""
    opened = []
    for name in ("bulk", "client"):
        (tmp_path / name).mkdir()
        shutil.copy(migrated_store, tmp_path / name / "mlflow.db")
        opened.append(open_store(f"sqlite:///{tmp_path / name / 'mlflow.db'}"))
    bulk, client = opened
    assert bulk.is_bulk
    return bulk, replace(client, is_bulk=False)


def runs_of(store: Store, experiment_id: str, **search: Any) -> list[Run]:
    return list(store.client.search_runs([experiment_id], run_view_type=ViewType.ALL, **search))


def test_a_run_written_in_bulk_reads_like_one_written_through_the_client(
    stores: tuple[Store, Store],
) -> None:
    searches = [
        {"order_by": ["metrics.param_error ASC"]},
        {"filter_string": "metrics.param_error > 0.9", "order_by": ["metrics.param_error DESC"]},
        {"filter_string": "params.loss LIKE 'huber%'", "order_by": ["tags.`regress.trial` ASC"]},
        {"filter_string": "attributes.run_name LIKE '%ü'", "order_by": ["metrics.param_error ASC"]},
        {
            "filter_string": "attributes.status = 'FINISHED'",
            "order_by": ["params.lr", "metrics.param_error"],
        },
        {"filter_string": "dataset.digest = '0123456789abcdef'", "order_by": ["metrics.param_error"]},
    ]
    seen = []
    for store in stores:
        experiment_id = get_or_create_experiment(store, "study")
        parent = "0" * 32
        store.write(experiment_id, [finished_run(parent, key, e) for key, e in (("a", 3.0), ("b", 2.0))])
        store.refresh_statistics()
        uri = store.uri.removeprefix("sqlite:///").removesuffix("/mlflow.db")
        found = [
            [described(store, run) for run in runs_of(store, experiment_id, **search)]
            for search in searches
        ]
        assert all(len(runs) >= 1 for runs in found)
        seen.append(repr(found).replace(uri, "STORE"))
    assert seen[0] == seen[1]


def test_it_does_so_on_postgresql_too(postgres_store: str) -> None:
    store = open_store(postgres_store)
    assert store.is_bulk
    seen = []
    for name, own in (("in bulk", store), ("by client", replace(store, is_bulk=False))):
        experiment_id = get_or_create_experiment(own, name)
        own.write(experiment_id, [finished_run("0" * 31 + experiment_id[-1], "a", 3.0)])
        own.refresh_statistics()
        (run,) = runs_of(own, experiment_id, filter_string="metrics.param_error < 2")
        text = repr(described(own, run)).replace(f"'experiment_id': '{experiment_id}'", "EXPERIMENT")
        text = text.replace(f"/mlruns/{experiment_id}/", "/mlruns/EXPERIMENT/")
        seen.append(text.replace("0" * 31 + experiment_id[-1], "PARENT"))
    assert seen[0] == seen[1]


def test_the_latest_of_a_metric_is_that_of_its_last_step(stores: tuple[Store, Store]) -> None:
    bulk, _ = stores
    experiment_id = get_or_create_experiment(bulk, "study")
    bulk.write(experiment_id, [finished_run("0" * 32, "a", 3.0)])
    (run,) = runs_of(bulk, experiment_id)
    assert run.data.metrics == {"param_error": 1.0, "excess_risk": 0.5, "twice": 2.0}


def test_the_same_run_cannot_be_written_twice(stores: tuple[Store, Store]) -> None:
    bulk, _ = stores
    experiment_id = get_or_create_experiment(bulk, "study")
    bulk.write(experiment_id, [finished_run("0" * 32, "a", 3.0)])
    (first,) = (described(bulk, run) for run in runs_of(bulk, experiment_id))
    bulk.write(experiment_id, [finished_run("0" * 32, key, 2.0) for key in ("b", "a")])
    runs = {run.data.tags["regress.key"]: described(bulk, run) for run in runs_of(bulk, experiment_id)}
    assert set(runs) == {"a", "b"}
    assert repr(runs["a"]) == repr(first)


def test_ids_of_siblings_are_in_the_order_of_their_places() -> None:
    families = [(parent, f"{9 - place % 10}", place) for parent in "ab" for place in range(0, 5000, 77)]
    runs = [replace(finished_run(parent, key, 1.0), position=place) for parent, key, place in families]
    ids = [run.run_id for run in runs]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", run_id) for run_id in ids)
    for parent in ("a", "b"):
        own = [run for run in runs if run.parent == parent]
        assert sorted(own, key=lambda run: run.run_id) == sorted(own, key=lambda run: run.position)


def test_a_store_of_a_schema_never_tried_is_written_through_the_client(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from regress.tracking import bulk

    monkeypatch.setattr(bulk, "TESTED_SCHEMAS", frozenset({"another"}))
    forget_stores()
    store = open_store(stores[0].uri)
    assert not store.is_bulk
    assert "was never tested" in caplog.text
    experiment_id = get_or_create_experiment(store, "study")
    store.write(experiment_id, [finished_run("0" * 32, "a", 3.0)])
    assert len(runs_of(store, experiment_id)) == 1
