"""One migrated store to copy, one Prefect server for all."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from regress.study import Study
from tests.ports import free_port
from tests.postgres import postgres
from tests.servers import server

settings.register_profile("regress", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("regress")


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh SQLite store: MLflow takes seconds to migrate one, so it is migrated once and copied."""
    from regress.tracking.store import open_store

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.fixture
def workplace(tmp_path: Path, migrated_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a store of its own."""
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("REGRESS_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect server on loopback, its database in a temporary folder."""
    from prefect.testing.utilities import prefect_test_harness

    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[str]:
    """The address of a real `mlflow server` on loopback, over a store of its own."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(migrated_store, folder / "mlflow.db")
    port = free_port()
    with server(folder, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def postgres_store() -> Iterator[str]:
    """The URI of an empty PostgreSQL database."""
    with postgres() as uri:
        yield uri


@pytest.fixture
def small_study() -> Study:
    """Eight trials with two replicates; at lr 5 under l2 they diverge."""
    return Study.model_validate(
        {
            "name": "small",
            "problem": "linear(rows=100, val=50)",
            "losses": ["l2", "l1"],
            "lrs": [0.03, 5.0],
            "orders": ["shuffled", "easy-to-hard"],
            "contaminations": ["vertical(fraction=0.1, shift=10.0)"],
            "epochs": 3,
            "batch_sizes": [16],
            "replicates": 4,
        }
    )
