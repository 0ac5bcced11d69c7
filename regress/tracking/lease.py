"""Leases on executions: while a process works on an execution, no other one resumes it.

Between processes of one host a file lock decides, which the system releases when its process ends. For
other hosts the execution's run carries a tag that the working process renews.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import psutil
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Run

from regress.errors import InputError
from regress.home import home
from regress.tracking.mlflow_internals import silence_database_log

LEASE_TAG = "regress.lease"
HEARTBEAT_SECONDS = 15.0  # between renewals
EXPIRY_SECONDS = 6 * HEARTBEAT_SECONDS


@dataclass(frozen=True)
class Lease:
    """The process that works on an execution; times in seconds since 1970."""

    host: str
    pid: int
    started: float
    heartbeat: float

    @property
    def is_alive(self) -> bool:
        """Whether the process still works: it exists on this host, or its heartbeat is recent elsewhere."""
        if self.host != socket.gethostname():
            return time.time() - self.heartbeat < EXPIRY_SECONDS
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1
        except psutil.NoSuchProcess:
            return False


def read_lease(run: Run) -> Lease | None:
    """Return the lease on an execution; None without one, or where its tag cannot be read."""
    text = run.data.tags.get(LEASE_TAG)
    try:
        return Lease(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


@contextmanager
def hold_lease(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Hold the lease on an execution inside the block.

    Raises
    ------
    InputError
        Another process of this host holds it.
    """
    folder = home() / "leases"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"{run_id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"--resume: another process is running the execution {run_id}") from None
    released = threading.Event()
    _renew(client, run_id)
    heartbeat = threading.Thread(target=_keep_renewing, args=(client, run_id, released), daemon=True)
    heartbeat.start()
    try:
        yield
    finally:
        released.set()
        heartbeat.join()
        # An unreachable store keeps the tag, which is void once this process has ended.
        with suppress(Exception), silence_database_log():
            client.delete_tag(run_id, LEASE_TAG)
        lock.release()
        (folder / f"{run_id}.lock").unlink(missing_ok=True)


def _keep_renewing(client: MlflowClient, run_id: str, released: threading.Event) -> None:
    while not released.wait(HEARTBEAT_SECONDS):
        # An unreachable store is reported by the calls that write results.
        with suppress(Exception), silence_database_log():
            _renew(client, run_id)


def _renew(client: MlflowClient, run_id: str) -> None:
    process = psutil.Process()
    lease = Lease(socket.gethostname(), process.pid, process.create_time(), time.time())
    client.set_tag(run_id, LEASE_TAG, json.dumps(asdict(lease)))
