"""The undocumented parts of MLflow that `regress` uses are where they were, under their ids below.

Nothing of `regress` is imported before a test runs: a part that moved fails its own test, by name.
"""

import inspect
import logging
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INTERNALS = "regress/tracking/mlflow_internals.py"
MODELS = "mlflow.store.tracking.dbmodels.models"

# Each function or class with the names of its parameters.
SIGNATURES = {
    "mlflow.models.utils._save_example": ["mlflow_model", "input_example", "path"],
    "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository": ["artifact_uri"],
    "mlflow.store.artifact.artifact_repo.ArtifactRepository.log_artifacts": ["self", "local_dir"],
    "mlflow.store.db.utils._get_latest_schema_revision": [],
    "mlflow.store.db.utils._get_schema_version": ["engine"],
    "mlflow.utils.environment._PythonEnv.current": [],
    "mlflow.utils.environment._PythonEnv.to_yaml": ["self", "path"],
}

ATTRIBUTES = [
    "mlflow.store.artifact.local_artifact_repo.LocalArtifactRepository.artifact_dir",
    "mlflow.store.model_registry.sqlalchemy_store.SqlAlchemyStore._engine_map",
    "mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore._engine_map",
    "mlflow.tracking._model_registry.registry.ModelRegistryStoreRegistry"
    "._get_store_with_resolved_uri.cache_clear",
    "mlflow.tracking._tracking_service.registry.TrackingStoreRegistry"
    "._get_store_with_resolved_uri.cache_clear",
]

CONSTANTS = {
    "mlflow.protos.databricks_pb2.RESOURCE_DOES_NOT_EXIST": 3002,
    "mlflow.utils.mlflow_tags.MLFLOW_DATASET_CONTEXT": "mlflow.data.context",
    "mlflow.utils.mlflow_tags.MLFLOW_GIT_COMMIT": "mlflow.source.git.commit",
    "mlflow.utils.mlflow_tags.MLFLOW_MODEL_VERSIONS": "mlflow.modelVersions",
    "mlflow.utils.mlflow_tags.MLFLOW_PARENT_RUN_ID": "mlflow.parentRunId",
    "mlflow.utils.mlflow_tags.MLFLOW_RUN_NAME": "mlflow.runName",
    "mlflow.utils.mlflow_tags.MLFLOW_RUN_NOTE": "mlflow.note.content",
    "mlflow.utils.mlflow_tags.MLFLOW_SOURCE_NAME": "mlflow.source.name",
    "mlflow.utils.mlflow_tags.MLFLOW_USER": "mlflow.user",
}

# Each table that is written to in bulk, with its columns; "?" marks those that are left to the database.
TABLES = {
    "SqlDataset": "datasets: dataset_profile dataset_schema dataset_source dataset_source_type dataset_uuid"
    " digest experiment_id name",
    "SqlInput": "inputs: destination_id destination_type input_uuid source_id source_type step?",
    "SqlInputTag": "input_tags: input_uuid name value",
    "SqlLatestMetric": "latest_metrics: is_nan key run_uuid step timestamp value",
    "SqlMetric": "metrics: is_nan key run_uuid step timestamp value",
    "SqlParam": "params: key run_uuid value",
    "SqlRun": "runs: artifact_uri deleted_time end_time entry_point_name experiment_id lifecycle_stage name"
    " run_uuid source_name source_type source_version start_time status user_id",
    "SqlTag": "tags: key run_uuid value",
}

DOCUMENTED = re.compile(r"mlflow(\.(artifacts|data|entities|exceptions|models|pyfunc|types)(\.\w+)*)?")
UNDOCUMENTED = re.compile(r"_tracking_client|_save_example|\bmlflow\.(store|utils|protos)\.")
IMPORT = re.compile(r"^\s*(?:from|import) (mlflow[\w.]*)", re.MULTILINE)


def resolve(name: str) -> Any:
    """Return what a dotted name stands for: modules first, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            value = getattr(value, part)
        return value
    raise AssertionError(f"no module of {name}")


def last_two(name: str) -> str:
    return ".".join(name.split(".")[-2:])


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters(name: str) -> None:
    parameters = inspect.signature(resolve(name)).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty]
    assert needed == SIGNATURES[name] or [p.name for p in parameters][: len(needed)] == SIGNATURES[name]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute(name: str) -> None:
    assert resolve(name) is not None


@pytest.mark.parametrize("name", CONSTANTS)
def test_value(name: str) -> None:
    assert resolve(name) == CONSTANTS[name]


@pytest.mark.parametrize("model", TABLES)
def test_columns(model: str) -> None:
    name, columns = TABLES[model].split(": ")
    table = resolve(f"{MODELS}.{model}").__table__
    assert table.name == name
    assert sorted(column.name for column in table.columns) == columns.replace("?", "").split()
    left = [table.columns[column.removesuffix("?")] for column in columns.split() if column.endswith("?")]
    assert all(column.server_default is not None or column.nullable for column in left)


def test_the_error_code_s_name() -> None:
    from mlflow.protos.databricks_pb2 import ErrorCode

    assert ErrorCode.Name(3002) == "RESOURCE_DOES_NOT_EXIST"


def test_the_schema_is_one_that_was_tested() -> None:
    from regress.tracking.mlflow_internals import TESTED_SCHEMAS, latest_schema_revision

    assert latest_schema_revision() in TESTED_SCHEMAS


def test_the_engine_the_session_and_the_artifact_root_of_a_client(workplace: Path) -> None:
    from mlflow import MlflowClient

    from regress.tracking.mlflow_internals import (
        TESTED_SCHEMAS,
        artifact_root,
        database_engine,
        schema_revision,
        write_session,
    )

    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    engine = database_engine(client)
    assert engine is not None
    assert engine.dialect.name == "sqlite"
    assert schema_revision(engine) in TESTED_SCHEMAS
    with write_session(client) as session:
        assert session.get_bind() is engine
    assert artifact_root(client)


def test_a_server_has_no_engine_and_no_artifact_root(mlflow_server: str) -> None:
    from mlflow import MlflowClient

    from regress.tracking.mlflow_internals import artifact_root, database_engine

    client = MlflowClient(mlflow_server)
    assert database_engine(client) is None
    assert artifact_root(client) == ""


def test_a_local_artifact_location_and_another(tmp_path: Path) -> None:
    from regress.tracking.mlflow_internals import local_artifact_folder, upload_artifacts

    location = f"{(tmp_path / 'artifacts').as_uri()}"
    assert local_artifact_folder(location) == str(tmp_path / "artifacts")
    assert local_artifact_folder("http://127.0.0.1:1/artifacts") is None
    (tmp_path / "source" / "run").mkdir(parents=True)
    (tmp_path / "source" / "run" / "notes.txt").write_text("text")
    upload_artifacts(location, str(tmp_path / "source"))
    assert (tmp_path / "artifacts" / "run" / "notes.txt").read_text() == "text"


def test_the_database_log_is_silent_inside_the_block_only(caplog: pytest.LogCaptureFixture) -> None:
    from regress.tracking.mlflow_internals import DATABASE_LOGGER, silence_database_log

    logger = resolve(f"{DATABASE_LOGGER}._logger")
    assert logger.name == DATABASE_LOGGER
    level = logger.level
    logger.addHandler(caplog.handler)  # MLflow's loggers do not propagate
    try:
        with silence_database_log():
            logger.error("inside")
        logger.error("outside")
    finally:
        logger.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"outside"}
    assert logging.getLogger(DATABASE_LOGGER).level == level


@pytest.mark.parametrize(
    "file",
    [
        file.relative_to(ROOT).as_posix()
        for folder in ("regress", "tasks", "flows", "tests", "benchmarks")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "mlflow" in file.read_text()
    ],
)
def test_other_files_use_only_what_is_documented(file: str) -> None:
    if file in (INTERNALS, Path(__file__).relative_to(ROOT).as_posix()):
        return
    text = (ROOT / file).read_text()
    assert not UNDOCUMENTED.findall(text)
    assert all(DOCUMENTED.fullmatch(module) for module in IMPORT.findall(text))
