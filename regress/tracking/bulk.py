"""Runs as rows of MLflow's own tables: many in one transaction.

MLflow's client takes some thirty milliseconds and five transactions a run. Where the store is a database
the same rows go in together, through MLflow's own SQLAlchemy models, half a millisecond a run, and a
run is there whole or not at all. The rows are those that the client leaves; a test compares them.
"""

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow import MlflowClient
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from regress.tracking.mlflow_internals import (
    MLFLOW_RUN_NAME,
    TESTED_SCHEMAS,
    SqlDataset,
    SqlInput,
    SqlInputTag,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
    database_engine,
    local_artifact_folder,
    schema_revision,
    upload_artifacts,
    write_session,
)
from regress.tracking.runs import FinishedRun, put

_METRIC = ("run_uuid", "key", "step", "timestamp", "value", "is_nan")
_AT_ONCE = 10_000  # rows that one statement carries as JSON
_Rows = tuple[type[Any], Sequence[str], list[tuple[Any, ...]]]  # a table, its columns, its new rows
_INSERTS: dict[str, Callable[[type[Any]], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def obstacle(client: MlflowClient) -> str | None:
    """Why runs cannot be written as rows into this store; None where they can."""
    engine = database_engine(client)
    if engine is None:
        return "it is not a database"
    if engine.dialect.name not in _INSERTS:
        return f"{engine.dialect.name} was never tried"
    revision = schema_revision(engine)
    return None if revision in TESTED_SCHEMAS else f"its schema {revision} was never tried"


def write_in_bulk(client: MlflowClient, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
    """Writes runs in one transaction, after their artifacts; all of them, or none.

    Runs that are there stay as they are: a lost connection may be answered by writing them again.
    """
    location = client.get_experiment(experiment_id).artifact_location
    _put_artifacts(location, runs)
    with write_session(client) as session:
        inserted = _insert_runs(session, [_run(int(experiment_id), location, run) for run in runs])
        new = [run for run in runs if run.run_id in inserted]
        datasets = _datasets(session, int(experiment_id), new)
        for model, columns, rows in _rows(new, datasets):
            _insert(session, model, columns, rows)


def refresh_statistics(client: MlflowClient) -> None:
    """Tells SQLite's planner how many rows there are now; without, sorting by a metric takes seconds."""
    engine = database_engine(client)
    if engine is not None and engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA analysis_limit=1000")
            connection.exec_driver_sql("ANALYZE")


def _put_artifacts(location: str, runs: Sequence[FinishedRun]) -> None:
    if (local := local_artifact_folder(location)) is not None:
        # Where they belong at once: laid aside, copied and removed they would take three times as long.
        _put_below(local, runs)
        return
    with tempfile.TemporaryDirectory() as folder:
        _put_below(folder, runs)
        upload_artifacts(location, folder)


def _put_below(folder: str, runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        put(Path(folder, run.run_id, "artifacts"), run.files)


def _insert_runs(session: Session, rows: list[dict[str, Any]]) -> set[str]:
    """The ids of those runs that were not there yet, and are now."""
    dialect = session.get_bind().dialect.name
    insert = _INSERTS[dialect](SqlRun).on_conflict_do_nothing()
    inserted = set(session.scalars(insert.returning(SqlRun.run_uuid), rows))
    if dialect == "postgresql":
        # Each row to come looks its run up, by a plan that must not take the table for an empty one.
        session.execute(sqlalchemy.text("ANALYZE runs"))
    return inserted


def _rows(runs: Sequence[FinishedRun], datasets: dict[tuple[str, str], str]) -> Iterator[_Rows]:
    tags = [
        (run.run_id, key, value)
        for run in runs
        for key, value in {**run.all_tags, MLFLOW_RUN_NAME: run.name}.items()
    ]
    params = [(run.run_id, key, value) for run in runs for key, value in run.params.items()]
    # What is not finite never comes this far.
    metrics = [
        (run.run_id, m.key, m.step, m.timestamp, m.value, False) for run in runs for m in run.metrics
    ]
    latest: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # of a run's key: by step, then time, then value
    for row in metrics:
        latest[row[:2]] = max(row, latest.get(row[:2], row))
    inputs = [(run.run_id, run.dataset, uuid.uuid4().hex) for run in runs if run.dataset is not None]
    yield SqlTag, ("run_uuid", "key", "value"), tags
    yield SqlParam, ("run_uuid", "key", "value"), params
    yield SqlMetric, _METRIC, metrics
    yield SqlLatestMetric, _METRIC, list(latest.values())
    yield (
        SqlInput,
        ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
        [
            (input_id, "DATASET", datasets[dataset.dataset.name, dataset.dataset.digest], "RUN", run_id)
            for run_id, dataset, input_id in inputs
        ],
    )
    yield (
        SqlInputTag,
        ("input_uuid", "name", "value"),
        [(input_id, tag.key, tag.value) for _, dataset, input_id in inputs for tag in dataset.tags],
    )


def _insert(
    session: Session, model: type[Any], columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    """Inserts rows past SQLAlchemy, which takes longer to bind each value than the database to store it.

    PostgreSQL's drivers send a statement for each row, or long lists of values to parse: it gets JSON.
    """
    connection = session.connection()
    insert = f"INSERT INTO {model.__tablename__} ({', '.join(columns)})"
    if connection.dialect.name == "sqlite":
        if rows:
            connection.exec_driver_sql(f"{insert} VALUES ({', '.join('?' * len(columns))})", rows)
        return
    select = (
        f"SELECT {', '.join(columns)} FROM json_populate_recordset(CAST(NULL AS {model.__tablename__}),"
    )
    statement = sqlalchemy.text(f"{insert} {select} CAST(:rows AS json))")
    for start in range(0, len(rows), _AT_ONCE):
        content = [dict(zip(columns, row, strict=True)) for row in rows[start : start + _AT_ONCE]]
        connection.execute(statement, {"rows": json.dumps(content)})


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
