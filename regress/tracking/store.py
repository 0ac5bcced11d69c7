"""The MLflow store: opened and checked once, before anything runs side by side."""

import logging
import os
import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import requests
import sqlalchemy
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.home import home
from regress.tracking.bulk import obstacle, refresh_statistics, write_in_bulk
from regress.tracking.mlflow_internals import artifact_root, forget_database, silence_database_log
from regress.tracking.retry import fail_on_disconnect, retry_on_disconnect
from regress.tracking.runs import FinishedRun, write_by_client

_log = logging.getLogger(__name__)

UI = "REGRESS_MLFLOW_UI"  # where a server shows the database that this process writes to
_SERVER = ("http", "https")
_PATIENCE = 5.0  # seconds for a tracking server to answer at all

# The stores that this process has opened, by URI, and the SQLite files that they were opened on.
_opened: dict[str, "Store"] = {}
_opened_file: dict[str, tuple[int, int] | None] = {}


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store that answered, and whose schema fits."""

    uri: str
    client: MlflowClient
    is_bulk: bool  # a database whose tables are known: runs go in as rows

    @property
    def shown(self) -> str:
        """The address, without a password."""
        return shown(self.uri)

    @property
    def is_server(self) -> bool:
        return urlsplit(self.uri).scheme in _SERVER

    @property
    def served_at(self) -> str | None:
        """The address of the server that shows this store, where one is known."""
        return self.uri.rstrip("/") if self.is_server else os.environ.get(UI)

    @property
    def ui(self) -> str:
        """Where the UI is, or would be after `ui_command`."""
        return self.served_at or "http://127.0.0.1:5000"

    @property
    def ui_command(self) -> str | None:
        """What shows a store that no server serves; None where a server does."""
        if self.served_at:
            return None
        default = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
        return "mlflow ui" if self.uri == default else f"mlflow ui --backend-store-uri {self.uri}"

    def write(self, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
        """Writes finished runs, as rows where the store is a database, else request by request.

        Raises ServiceLost where the store does not come back.
        """
        if self.is_bulk:
            retry_on_disconnect(write_in_bulk)(self.client, experiment_id, runs)
        else:
            # MLflow's client tries each request again by itself; a run must not be begun twice.
            fail_on_disconnect(write_by_client)(self.client, experiment_id, runs)

    def settle(self) -> None:
        """What is due after many runs have been written."""
        if self.is_bulk:
            refresh_statistics(self.client)

    def run_address(self, experiment_id: str, run_id: str) -> str:
        return f"{self.ui}/#/experiments/{experiment_id}/runs/{run_id}"


def database_uri() -> str:
    """The URI of MLflow's own choice, a file by its full path; raises InputError where it is a server."""
    uri = mlflow.get_tracking_uri()
    scheme = urlsplit(uri).scheme
    if scheme in _SERVER:
        raise InputError(f"MLFLOW_TRACKING_URI: {shown(uri)} is a server already, expected a database")
    file = sqlalchemy.make_url(uri).database if scheme == "sqlite" else None
    return f"sqlite:///{Path(file).resolve()}" if file else uri


def open_store(uri: str | None = None) -> Store:
    """Return the store at `uri`, by default MLflow's own choice; create a SQLite file that is missing.

    A process opens each store once: later calls return the same object while the store answers and its
    database file is the same one.

    Raises
    ------
    InputError
        The store cannot be reached, read or written, or has another schema.
    """
    uri = uri or mlflow.get_tracking_uri()
    if _opened_file.get(uri) != _file_identity(uri):
        _forget_store(uri)
    check_reachable(uri)
    if uri not in _opened:
        _opened[uri] = _open_store(uri)
        _opened_file[uri] = _file_identity(uri)
    return _opened[uri]


def forget_stores() -> None:
    """Close all stores that `open_store` has opened, so that the next call opens them anew (for tests)."""
    for uri in list(_opened):
        _forget_store(uri)


def _forget_store(uri: str) -> None:
    _opened_file.pop(uri, None)
    if _opened.pop(uri, None) is not None:
        forget_database(uri)


def _file_identity(uri: str) -> tuple[int, int] | None:
    """Return device and inode of a SQLite database file; None for a missing file and for other stores.

    The engine's pooled connection keeps a deleted file open, so that no new file gets the same inode.
    """
    if urlsplit(uri).scheme != "sqlite":
        return None
    try:
        status = Path(sqlalchemy.make_url(uri).database or "").stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open_store(uri: str) -> Store:
    scheme = urlsplit(uri).scheme
    try:
        # Two processes that migrate the same fresh SQLite file at once both fail.
        with silence_database_log(), _migration_lock(uri) if scheme == "sqlite" else nullcontext():
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError) as error:
        raise InputError(f"the tracking store {shown(uri)} cannot be used: {_first(error)}") from None
    return Store(uri, client, _writes_rows(client, is_server=scheme in _SERVER))


def check_reachable(uri: str) -> None:
    """Raises InputError where no database and no server answers at `uri`."""
    scheme = urlsplit(uri).scheme
    if scheme in _SERVER:
        _check_server(uri)
    elif scheme == "sqlite":
        _check_sqlite(uri)
    elif "+" in scheme or scheme in ("postgresql", "mysql", "mssql"):
        _check_database(uri)
    else:
        raise InputError(
            f"MLFLOW_TRACKING_URI: {uri} is neither a database nor an http address,"
            " expected sqlite:///..., postgresql://... or http://..."
        )


def _migration_lock(uri: str) -> FileLock:
    """A lock that one process of this user holds at a time, for this store."""
    folder = home() / "stores"
    folder.mkdir(exist_ok=True)
    file = Path(str(sqlalchemy.make_url(uri).database)).resolve()
    return FileLock(folder / f"{sha256(str(file).encode()).hexdigest()[:16]}.lock")


def experiment(store: Store, name: str) -> str:
    """The id of the experiment `name`, to be written into, created if need be.

    Raises InputError where it is deleted, or where this user may not write.
    """
    found = store.client.get_experiment_by_name(name)
    _check_permissions(store, found)
    if found is None:
        try:
            return str(store.client.create_experiment(name))
        except MlflowException:  # another process was faster
            found = store.client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise InputError(
            f"name: the experiment {name!r} is deleted in {shown(store.uri)};"
            " restore it or choose another name"
        )
    return str(found.experiment_id)


def _check_permissions(store: Store, found: Experiment | None) -> None:
    """Raises InputError where this user may not write what a run of the experiment leaves behind."""
    if urlsplit(store.uri).scheme == "sqlite":
        file = Path(str(sqlalchemy.make_url(store.uri).database)).absolute()
        _check_writable("MLFLOW_TRACKING_URI", file)
        _check_writable("MLFLOW_TRACKING_URI", file.parent)  # SQLite's log lies beside its file
    by_default = artifact_root(store.client)
    root = urlsplit(found.artifact_location if found else by_default)
    if root.scheme in ("", "file"):
        _check_writable("artifacts", Path(url2pathname(root.path)).absolute())


def _check_writable(what: str, path: Path) -> None:
    """Raises InputError where `path`, or what there is of it, cannot be written to."""
    there = next(part for part in (path, *path.parents) if part.exists())
    if not os.access(there, os.W_OK):
        raise InputError(f"{what}: {there} is not writable, expected that runs can be recorded there")


def _writes_rows(client: MlflowClient, is_server: bool) -> bool:
    reason = obstacle(client)
    if reason is not None and not is_server:
        _log.warning("runs are written one by one, not in bulk, into this store: %s", reason)
    return reason is None


def _check_server(uri: str) -> None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=_PATIENCE)
    except requests.RequestException:
        raise InputError(
            f"MLFLOW_TRACKING_URI: nothing answers at {shown(uri)}, expected an MLflow server"
        ) from None
    if answer.status_code != requests.codes.ok:
        raise InputError(
            f"MLFLOW_TRACKING_URI: {shown(uri)} answers {answer.status_code} to /health,"
            " expected an MLflow server"
        )


def _check_sqlite(uri: str) -> None:
    database = sqlalchemy.make_url(uri).database
    if not database:
        raise InputError(f"MLFLOW_TRACKING_URI: {uri} names no file, expected sqlite:///FILE")
    file = Path(database)
    is_new = not file.exists() or file.stat().st_size == 0
    try:
        connection = sqlite3.connect(file)
        try:
            if is_new:
                # Readers and the writer do not block one another, and a commit is one fsync less.
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise InputError(f"MLFLOW_TRACKING_URI: cannot open {file}: {error}") from None


def _check_database(uri: str) -> None:
    # MLflow itself would try again for minutes.
    try:
        sqlalchemy.create_engine(uri).connect().close()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise InputError(f"MLFLOW_TRACKING_URI: cannot reach {shown(uri)}: {_first(error)}") from None


def shown(uri: str) -> str:
    """`uri` without its password."""
    return sqlalchemy.make_url(uri).render_as_string(hide_password=True)


def _first(error: Exception) -> str:
    """The first sentence of an error."""
    return str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
