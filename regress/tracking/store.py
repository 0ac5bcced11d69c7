"""The MLflow tracking store: opened and checked once, before threads write to it."""

import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
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
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.home import home
from regress.tracking.bulk import bulk_refusal, refresh_statistics, write_in_bulk
from regress.tracking.mlflow_internals import artifact_root, forget_database, silence_database_log
from regress.tracking.retry import fail_on_disconnect, retry_on_disconnect
from regress.tracking.runs import FinishedRun, write_by_client

_log = logging.getLogger(__name__)

UI_VARIABLE = "REGRESS_MLFLOW_UI"  # names the address of a server that shows this process's database
_SERVER = ("http", "https")
_HEALTH_TIMEOUT = 5.0  # seconds
RUNS_PER_PAGE = 1000  # as MLflow by default

# The stores that this process has opened, by URI, and the SQLite files that they were opened on.
_opened: dict[str, "Store"] = {}
_opened_file: dict[str, tuple[int, int] | None] = {}


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store that answers and whose schema fits the installed MLflow."""

    uri: str
    client: MlflowClient
    is_bulk: bool  # runs are written as rows, into a database with tested tables

    @property
    def display_uri(self) -> str:
        """The URI without its password."""
        return hide_password(self.uri)

    @property
    def is_server(self) -> bool:
        return urlsplit(self.uri).scheme in _SERVER

    @property
    def server_url(self) -> str | None:
        """The URL of the server that shows this store; None where none is known."""
        return self.uri.rstrip("/") if self.is_server else os.environ.get(UI_VARIABLE)

    @property
    def ui(self) -> str:
        """The URL of MLflow's UI, or the one that `ui_command` would serve."""
        return self.server_url or "http://127.0.0.1:5000"

    @property
    def ui_command(self) -> str | None:
        """The command that serves the UI; None where a server does already."""
        if self.server_url:
            return None
        default = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
        return "mlflow ui" if self.uri == default else f"mlflow ui --backend-store-uri {self.uri}"

    def search_runs(
        self, experiment_ids: Sequence[str], filter_string: str, order_by: Sequence[str] = ()
    ) -> Iterator[Run]:
        """Yield all runs that meet a filter, from as many pages as there are."""
        token = None
        while token is None or token:
            page = self.client.search_runs(
                list(experiment_ids),
                filter_string,
                max_results=RUNS_PER_PAGE,
                order_by=list(order_by) or None,
                page_token=token,
            )
            yield from page
            token = page.token or ""

    def search_experiments(self) -> Iterator[Experiment]:
        """Yield all experiments that are not deleted."""
        token = None
        while token is None or token:
            page = self.client.search_experiments(page_token=token)
            yield from page
            token = page.token or ""

    def write(self, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
        """Write finished runs, as rows where the store is a database, else request by request.

        Raises
        ------
        ServiceLost
            The store cannot be reached, for a minute where it is a database, or a disk is full.
        """
        if self.is_bulk:
            retry_on_disconnect(write_in_bulk)(self.client, experiment_id, runs)
        else:
            # Not repeated as a whole, which would create runs twice: the client repeats each request.
            fail_on_disconnect(write_by_client)(self.client, experiment_id, runs)

    def refresh_statistics(self) -> None:
        """Update the database's statistics after many runs have been written."""
        if self.is_bulk:
            refresh_statistics(self.client)

    def run_address(self, experiment_id: str, run_id: str) -> str:
        return f"{self.ui}/#/experiments/{experiment_id}/runs/{run_id}"


def database_uri() -> str:
    """Return the URI of MLflow's own choice, a SQLite file by its full path.

    Raises
    ------
    InputError
        It is a server.
    """
    uri = mlflow.get_tracking_uri()
    scheme = urlsplit(uri).scheme
    if scheme in _SERVER:
        raise InputError(
            f"MLFLOW_TRACKING_URI: {hide_password(uri)} is a server already, expected a database"
        )
    file = sqlalchemy.make_url(uri).database if scheme == "sqlite" else None
    return f"sqlite:///{Path(file).resolve()}" if file else uri


def open_store(uri: str | None = None) -> Store:
    """Return the store at `uri`, by default MLflow's own choice; create a SQLite file that is missing.

    A process opens each store once: later calls return the same object while the store answers and its
    database file is the same one.

    Raises
    ------
    InputError
        The store cannot be reached, read or written, or has another schema; REGRESS_HOME is not writable.
    """
    uri = uri or mlflow.get_tracking_uri()
    if _opened_file.get(uri) != _file_identity(uri):
        _forget_store(uri)
    check_reachable(uri)
    if urlsplit(uri).scheme == "sqlite":
        home()  # checked on every call: the leases of executions are written there
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
        raise InputError(
            f"the tracking store {hide_password(uri)} cannot be used: {_first_sentence(error)}"
        ) from None
    return Store(uri, client, _can_write_rows(client, is_server=scheme in _SERVER))


def check_reachable(uri: str) -> None:
    """Connect to the database or server at `uri` once, and leave it unchanged.

    Raises
    ------
    InputError
        Nothing answers, or the URI is neither a database nor a server.
    """
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
    """Return a lock on a SQLite store among the processes of this user."""
    folder = home() / "stores"
    folder.mkdir(exist_ok=True)
    file = Path(str(sqlalchemy.make_url(uri).database)).resolve()
    return FileLock(folder / f"{sha256(str(file).encode()).hexdigest()[:16]}.lock")


def get_or_create_experiment(store: Store, name: str) -> str:
    """Return the id of the experiment `name`, created where it is missing.

    Raises
    ------
    InputError
        The experiment is deleted, or this user may not write into it.
    """
    experiment = store.client.get_experiment_by_name(name)
    _check_permissions(store, experiment)
    if experiment is None:
        try:
            return str(store.client.create_experiment(name))
        except MlflowException:  # another process created it in between
            experiment = store.client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise InputError(
            f"name: the experiment {name!r} is deleted in {hide_password(store.uri)};"
            " restore it or choose another name"
        )
    return str(experiment.experiment_id)


def _check_permissions(store: Store, experiment: Experiment | None) -> None:
    """Raise InputError where this user may not write the database file or the experiment's artifacts."""
    if urlsplit(store.uri).scheme == "sqlite":
        file = Path(str(sqlalchemy.make_url(store.uri).database)).absolute()
        _check_writable("MLFLOW_TRACKING_URI", file)
        _check_writable("MLFLOW_TRACKING_URI", file.parent)  # SQLite creates its log next to the file
    root = urlsplit(experiment.artifact_location if experiment else artifact_root(store.client))
    if root.scheme in ("", "file"):
        _check_writable("artifacts", Path(url2pathname(root.path)).absolute())


def _check_writable(what: str, path: Path) -> None:
    """Raise InputError where `path`, or its nearest existing parent, is not writable."""
    existing = next(part for part in (path, *path.parents) if part.exists())
    if not os.access(existing, os.W_OK):
        raise InputError(f"{what}: {existing} is not writable, expected that runs can be recorded there")


def _can_write_rows(client: MlflowClient, is_server: bool) -> bool:
    reason = bulk_refusal(client)
    if reason is not None and not is_server:
        _log.warning("runs are written one by one, not in bulk, into this store: %s", reason)
    return reason is None


def _check_server(uri: str) -> None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=_HEALTH_TIMEOUT)
    except requests.RequestException:
        raise InputError(
            f"MLFLOW_TRACKING_URI: nothing answers at {hide_password(uri)}, expected an MLflow server"
        ) from None
    if answer.status_code != requests.codes.ok:
        raise InputError(
            f"MLFLOW_TRACKING_URI: {hide_password(uri)} answers {answer.status_code} to /health,"
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
                # With a write-ahead log readers and the writer do not block each other.
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise InputError(f"MLFLOW_TRACKING_URI: cannot open {file}: {error}") from None


def _check_database(uri: str) -> None:
    # Tried here first, because MLflow retries for minutes.
    try:
        sqlalchemy.create_engine(uri).connect().close()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise InputError(
            f"MLFLOW_TRACKING_URI: cannot reach {hide_password(uri)}: {_first_sentence(error)}"
        ) from None


def hide_password(uri: str) -> str:
    """Return `uri` with its password masked."""
    return sqlalchemy.make_url(uri).render_as_string(hide_password=True)


def _first_sentence(error: Exception) -> str:
    """Return the first sentence of an error's text."""
    return str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
