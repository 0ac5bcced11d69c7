"""All parts of MLflow that are not in its public documentation, tried on MLflow 3.17.2.

Another version may move or change any of them: `tests/tracking/test_mlflow_internals.py` names the part.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow import MlflowClient

# 3.17.2. Names of error codes, to tell a missing run or experiment from other errors.
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

# 3.17.2. Where artifacts go in bulk, without one request a run.
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

# 3.17.2. The schema of a database, looked up without migrating it.
from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version

# 3.17.2. The tables that runs are written to in bulk.
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

# 3.17.2. Keys of the tags that MLflow's pages and its client read.
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_GIT_COMMIT,
    MLFLOW_MODEL_VERSIONS,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)
from sqlalchemy import Engine
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from mlflow.models import Model

__all__ = [
    "MLFLOW_DATASET_CONTEXT",
    "MLFLOW_GIT_COMMIT",
    "MLFLOW_MODEL_VERSIONS",
    "MLFLOW_PARENT_RUN_ID",
    "MLFLOW_RUN_NAME",
    "MLFLOW_RUN_NOTE",
    "MLFLOW_SOURCE_NAME",
    "MLFLOW_USER",
    "RESOURCE_DOES_NOT_EXIST",
    "TESTED_SCHEMAS",
    "ErrorCode",
    "SqlDataset",
    "SqlInput",
    "SqlInputTag",
    "SqlLatestMetric",
    "SqlMetric",
    "SqlParam",
    "SqlRun",
    "SqlTag",
    "artifact_root",
    "database_engine",
    "forget_database",
    "latest_schema_revision",
    "local_artifact_folder",
    "save_input_example",
    "schema_revision",
    "silence_database_log",
    "upload_artifacts",
    "write_python_env",
    "write_session",
]

# The schema revisions on which rows written in bulk were compared with those of MLflow's client.
TESTED_SCHEMAS = frozenset({"dc11669786a5"})

# 3.17.2. The logger that announces migrations and prints database errors before they are raised.
DATABASE_LOGGER = "mlflow.store.db.utils"

_is_silenced = ContextVar("is_silenced", default=False)
# Lets everything pass except inside `silence_database_log`.
logging.getLogger(DATABASE_LOGGER).addFilter(lambda record: not _is_silenced.get())


@contextmanager
def silence_database_log() -> Iterator[None]:
    """Drop what MLflow logs about its database from this thread: the caller handles what is raised.

    Other threads, and this one afterwards, log as before.
    """
    token = _is_silenced.set(True)
    try:
        yield
    finally:
        _is_silenced.reset(token)


def database_engine(client: MlflowClient) -> Engine | None:
    """Return the engine of the database behind a client; None where it talks to a server.

    3.17.2: `MlflowClient._tracking_client.store.engine` of a `SqlAlchemyStore`.
    """
    engine: Engine | None = getattr(client._tracking_client.store, "engine", None)
    return engine


@contextmanager
def write_session(client: MlflowClient) -> Iterator[Session]:
    """Open a session on the client's database, committed at the end of the block, rolled back on errors.

    3.17.2: `SqlAlchemyStore.ManagedSessionMaker`, which raises what the database raises as MlflowException.
    """
    with client._tracking_client.store.ManagedSessionMaker(read_only=False) as session:
        yield session


def artifact_root(client: MlflowClient) -> str:
    """Return where the artifacts of new experiments go; "" where only the server knows.

    3.17.2: `SqlAlchemyStore.artifact_root_uri`.
    """
    return str(getattr(client._tracking_client.store, "artifact_root_uri", ""))


def forget_database(uri: str) -> None:
    """Close MLflow's connections to a database and drop the stores that it caches.

    The next client then opens the database anew, and migrates it where it is empty.
    3.17.2: `SqlAlchemyStore._engine_map` of runs and of models, the cached `_get_store_with_resolved_uri`.
    """
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as ModelStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as RunStore
    from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
    from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry

    for store in (RunStore, ModelStore):
        if (engine := store._engine_map.pop(uri, None)) is not None:
            engine.dispose()
    for registry in (TrackingStoreRegistry, ModelRegistryStoreRegistry):
        registry._get_store_with_resolved_uri.cache_clear()


def schema_revision(engine: Engine) -> str | None:
    """Return the schema revision of a database; None where it is empty."""
    revision: str | None = _get_schema_version(engine)
    return revision


def latest_schema_revision() -> str:
    """Return the schema revision that the installed MLflow needs."""
    return str(_get_latest_schema_revision())


def local_artifact_folder(location: str) -> str | None:
    """Return the folder of an artifact location; None where it is not on this machine."""
    repository = get_artifact_repository(location)
    return str(repository.artifact_dir) if isinstance(repository, LocalArtifactRepository) else None


def upload_artifacts(location: str, folder: str) -> None:
    """Copy all files below `folder` to an artifact location, of whatever kind."""
    get_artifact_repository(location).log_artifacts(folder)


def save_input_example(model: "Model", example: pd.DataFrame, folder: Path) -> None:
    """Write an input example to the model's folder and register it with the model.

    3.17.2: `mlflow.models.utils._save_example`; the public `save_model` takes seconds to search packages.
    """
    from mlflow.models.utils import _save_example

    _save_example(model, example, str(folder))


def write_python_env(file: Path) -> None:
    """Write the Python version and the build tools of this process, as a model's python_env.yaml.

    3.17.2: `mlflow.utils.environment._PythonEnv`; the public `save_model` takes seconds to search packages.
    """
    from mlflow.utils.environment import _PythonEnv

    env: Any = _PythonEnv.current()
    env.to_yaml(file)
