"""Runs as rows of MLflow's own tables: many in one transaction.

MLflow's client takes some thirty milliseconds and five transactions a run. Where the store is a database
the same rows go in together, through MLflow's own SQLAlchemy models, half a millisecond a run, and a
run is there whole or not at all. The rows are those that the client leaves; a test compares them.
"""

import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.utils import _get_schema_version
from mlflow.store.tracking.dbmodels.models import (
    SqlDataset,
    SqlInput,
    SqlInputTag,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from regress.tracking.runs import FinishedRun, put

# The revisions whose tables these rows were compared with the client's on.
TESTED_SCHEMAS = frozenset({"dc11669786a5"})
_INSERTS: dict[str, Callable[[type[Any]], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def obstacle(client: MlflowClient) -> str | None:
    """Why runs cannot be written as rows into this store; None where they can."""
    engine = getattr(client._tracking_client.store, "engine", None)
    if engine is None:
        return "it is not a database"
    if engine.dialect.name not in _INSERTS:
        return f"{engine.dialect.name} was never tried"
    revision = _get_schema_version(engine)
    return None if revision in TESTED_SCHEMAS else f"its schema {revision} was never tried"


def write_in_bulk(client: MlflowClient, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
    """Writes runs in one transaction, after their artifacts; all of them, or none.

    Runs that are there stay as they are: a lost connection may be answered by writing them again.
    """
    location = client.get_experiment(experiment_id).artifact_location
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            put(Path(folder, run.run_id, "artifacts"), run.files)
        get_artifact_repository(location).log_artifacts(folder)
    with client._tracking_client.store.ManagedSessionMaker(read_only=False) as session:
        inserted = _insert_runs(session, [_run(int(experiment_id), location, run) for run in runs])
        new = [run for run in runs if run.run_id in inserted]
        datasets = _datasets(session, int(experiment_id), new)
        for model, rows in _rows(new, datasets):
            if rows:
                session.execute(sqlalchemy.insert(model.__table__), rows)


def refresh_statistics(client: MlflowClient) -> None:
    """Tells SQLite's planner how many rows there are now; without, sorting by a metric takes seconds."""
    engine = client._tracking_client.store.engine
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA analysis_limit=1000")
            connection.exec_driver_sql("ANALYZE")


def _insert_runs(session: Session, rows: list[dict[str, Any]]) -> set[str]:
    """The ids of those runs that were not there yet, and are now."""
    insert = _INSERTS[session.get_bind().dialect.name](SqlRun).on_conflict_do_nothing()
    return set(session.scalars(insert.returning(SqlRun.run_uuid), rows))


def _rows(
    runs: Sequence[FinishedRun], datasets: dict[tuple[str, str], str]
) -> Iterable[tuple[type[Any], list[dict[str, Any]]]]:
    yield (
        SqlTag,
        [
            {"run_uuid": run.run_id, "key": key, "value": value}
            for run in runs
            for key, value in {**run.all_tags, MLFLOW_RUN_NAME: run.name}.items()
        ],
    )
    yield (
        SqlParam,
        [
            {"run_uuid": run.run_id, "key": key, "value": value}
            for run in runs
            for key, value in run.params.items()
        ],
    )
    yield SqlMetric, [_metric(run, metric) for run in runs for metric in run.metrics]
    yield (
        SqlLatestMetric,
        [_metric(run, metric) for run in runs for metric in _latest(run.metrics)],
    )
    inputs = [(run.run_id, run.dataset, uuid.uuid4().hex) for run in runs if run.dataset is not None]
    yield (
        SqlInput,
        [
            {
                "input_uuid": input_id,
                "source_type": "DATASET",
                "source_id": datasets[dataset.dataset.name, dataset.dataset.digest],
                "destination_type": "RUN",
                "destination_id": run_id,
            }
            for run_id, dataset, input_id in inputs
        ],
    )
    yield (
        SqlInputTag,
        [
            {"input_uuid": input_id, "name": tag.key, "value": tag.value}
            for _, dataset, input_id in inputs
            for tag in dataset.tags
        ],
    )


def _run(experiment_id: int, location: str, run: FinishedRun) -> dict[str, Any]:
    return {
        "run_uuid": run.run_id,
        "name": run.name,
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": run.user,
        "status": "FINISHED",
        "start_time": run.start_time,
        "end_time": run.end_time,
        "deleted_time": None,
        "lifecycle_stage": "active",
        "artifact_uri": f"{location}/{run.run_id}/artifacts",
        "experiment_id": experiment_id,
    }


def _metric(run: FinishedRun, metric: Metric) -> dict[str, Any]:
    return {
        "run_uuid": run.run_id,
        "key": metric.key,
        "value": metric.value,
        "timestamp": metric.timestamp,
        "step": metric.step,
        "is_nan": False,  # what is not finite never comes this far
    }


def _latest(metrics: Iterable[Metric]) -> list[Metric]:
    latest: dict[str, Metric] = {}
    for metric in metrics:
        held = latest.get(metric.key)
        if held is None or _rank(metric) > _rank(held):
            latest[metric.key] = metric
    return list(latest.values())


def _rank(metric: Metric) -> tuple[int, int, float]:
    return metric.step, metric.timestamp, metric.value


def _datasets(
    session: Session, experiment_id: int, runs: Sequence[FinishedRun]
) -> dict[tuple[str, str], str]:
    """The id of each data set by name and digest; those not there yet are inserted.

    Inserted first, looked up then: a transaction that began by reading would lose to another writer.
    """
    datasets = [run.dataset.dataset for run in runs if run.dataset is not None]
    wanted = {(dataset.name, dataset.digest): dataset for dataset in datasets}
    rows = [
        {
            "dataset_uuid": uuid.uuid4().hex,
            "experiment_id": experiment_id,
            "name": dataset.name,
            "digest": dataset.digest,
            "dataset_source_type": dataset.source_type,
            "dataset_source": dataset.source,
            "dataset_schema": dataset.schema,
            "dataset_profile": dataset.profile,
        }
        for dataset in wanted.values()
    ]
    insert = _INSERTS[session.get_bind().dialect.name]
    if rows:
        session.execute(insert(SqlDataset).on_conflict_do_nothing(), rows)
    known = sqlalchemy.select(SqlDataset.name, SqlDataset.digest, SqlDataset.dataset_uuid).where(
        SqlDataset.experiment_id == experiment_id,
        SqlDataset.digest.in_([digest for _, digest in wanted]),
    )
    return {(name, digest): dataset_id for name, digest, dataset_id in session.execute(known)}
