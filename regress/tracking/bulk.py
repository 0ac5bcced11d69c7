"""Runs written as rows of MLflow's tables, many in one transaction.

MLflow's client needs about 30 ms and five transactions a run. Where the store is a database, the same rows
are inserted together through MLflow's SQLAlchemy models in 0.5 ms a run, and a run is complete or absent.
A test compares the rows with those that the client writes.
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
from regress.tracking.runs import FinishedRun, write_files

_METRIC = ("run_uuid", "key", "step", "timestamp", "value", "is_nan")
_ROWS_PER_STATEMENT = 10_000  # as JSON
_Rows = tuple[type[Any], Sequence[str], list[tuple[Any, ...]]]  # a table's model, columns and new rows
_INSERTS: dict[str, Callable[[type[Any]], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def bulk_refusal(client: MlflowClient) -> str | None:
    """Return why runs cannot be written as rows into this store; None where they can."""
    engine = database_engine(client)
    if engine is None:
        return "it is not a database"
    if engine.dialect.name not in _INSERTS:
        return f"{engine.dialect.name} was never tested"
    revision = schema_revision(engine)
    return None if revision in TESTED_SCHEMAS else f"its schema {revision} was never tested"


def write_in_bulk(client: MlflowClient, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
    """Write the runs' artifacts, then all runs in one transaction.

    Runs that exist already stay unchanged, so that the call may be repeated after a lost connection.

    Raises
    ------
    MlflowException
        The database refuses the rows or cannot be reached; no run is written.
    OSError
        The artifacts cannot be written.
    """
    location = client.get_experiment(experiment_id).artifact_location
    _write_artifacts(location, runs)
    with write_session(client) as session:
        inserted = _insert_runs(session, [_run_row(int(experiment_id), location, run) for run in runs])
        new = [run for run in runs if run.run_id in inserted]
        datasets = _insert_datasets(session, int(experiment_id), new)
        for model, columns, rows in _rows(new, datasets):
            _insert_rows(session, model, columns, rows)


def refresh_statistics(client: MlflowClient) -> None:
    """Update SQLite's statistics on row counts; without them sorting by a metric takes seconds."""
    engine = database_engine(client)
    if engine is not None and engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA analysis_limit=1000")
            connection.exec_driver_sql("ANALYZE")


def _write_artifacts(location: str, runs: Sequence[FinishedRun]) -> None:
    if (local := local_artifact_folder(location)) is not None:
        # Written to their place at once: through a temporary folder it takes three times as long.
        _write_run_folders(local, runs)
        return
    with tempfile.TemporaryDirectory() as folder:
        _write_run_folders(folder, runs)
        upload_artifacts(location, folder)


def _write_run_folders(folder: str, runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        write_files(Path(folder, run.run_id, "artifacts"), run.files)


def _insert_runs(session: Session, rows: list[dict[str, Any]]) -> set[str]:
    """Insert rows of runs; return the ids of those that did not exist before."""
    dialect = session.get_bind().dialect.name
    insert = _INSERTS[dialect](SqlRun).on_conflict_do_nothing()
    inserted = set(session.scalars(insert.returning(SqlRun.run_uuid), rows))
    if dialect == "postgresql":
        # The rows inserted next look up their run; without statistics the plan assumes an empty table.
        session.execute(sqlalchemy.text("ANALYZE runs"))
    return inserted


def _rows(runs: Sequence[FinishedRun], datasets: dict[tuple[str, str], str]) -> Iterator[_Rows]:
    """Yield the rows of all tables but `runs` and `datasets`."""
    tags = [
        (run.run_id, key, value)
        for run in runs
        for key, value in {**run.all_tags, MLFLOW_RUN_NAME: run.name}.items()
    ]
    params = [(run.run_id, key, value) for run in runs for key, value in run.params.items()]
    # Runs hold finite metrics only: is_nan is False.
    metrics = [
        (run.run_id, m.key, m.step, m.timestamp, m.value, False) for run in runs for m in run.metrics
    ]
    latest: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # by run and key
    for row in metrics:
        # The row with the largest step, then timestamp, then value, as MLflow defines it.
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


def _insert_rows(
    session: Session, model: type[Any], columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    """Insert rows without SQLAlchemy's binding of values, which takes longer than storing them.

    PostgreSQL gets JSON: its drivers send one statement for each row, or long lists of values to parse.
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
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        content = [
            dict(zip(columns, row, strict=True)) for row in rows[start : start + _ROWS_PER_STATEMENT]
        ]
        connection.execute(statement, {"rows": json.dumps(content)})


def _run_row(experiment_id: int, location: str, run: FinishedRun) -> dict[str, Any]:
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


def _insert_datasets(
    session: Session, experiment_id: int, runs: Sequence[FinishedRun]
) -> dict[tuple[str, str], str]:
    """Insert the runs' data sets that are new; return the id of each by name and digest.

    Insert before selecting: a transaction that starts with a read cannot be upgraded while another
    connection writes (SQLITE_BUSY).
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
