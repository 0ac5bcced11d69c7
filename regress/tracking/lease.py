"""Who is at work on an execution: nobody takes it over while its owner lives.

On one host a file lock decides, which dies with its process. For other hosts the execution's run carries
a tag that its owner renews.
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

TAG = "regress.lease"
BEAT = 15.0  # seconds between renewals
EXPIRY = 6 * BEAT


@dataclass(frozen=True)
class Lease:
    """The process that works on an execution; times in seconds since 1970."""

    host: str
    pid: int
    started: float
    heartbeat: float

    @property
    def is_alive(self) -> bool:
        """Whether its owner is at work: a process here, a fresh heartbeat elsewhere."""
        if self.host != socket.gethostname():
            return time.time() - self.heartbeat < EXPIRY
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1
        except psutil.NoSuchProcess:
            return False


def lease(run: Run) -> Lease | None:
    """The lease on an execution; None where nobody holds one."""
    text = run.data.tags.get(TAG)
    try:
        return Lease(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


@contextmanager
def held(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Holds the lease on an execution; raises InputError where another process of this host does."""
    folder = home() / "leases"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"{run_id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"--resume: another process is at work on the execution {run_id}") from None
    done = threading.Event()
    _renew(client, run_id)
    beat = threading.Thread(target=_beat, args=(client, run_id, done), daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()
        # A store that cannot be reached keeps the tag; the lease then expires.
        with suppress(Exception), silence_database_log():
            client.delete_tag(run_id, TAG)
        lock.release()
        (folder / f"{run_id}.lock").unlink(missing_ok=True)


def _beat(client: MlflowClient, run_id: str, done: threading.Event) -> None:
    while not done.wait(BEAT):
        # Whatever else writes to the store reports that it cannot be reached.
        with suppress(Exception), silence_database_log():
            _renew(client, run_id)


def _renew(client: MlflowClient, run_id: str) -> None:
    me = psutil.Process()
    mine = Lease(socket.gethostname(), me.pid, me.create_time(), time.time())
    client.set_tag(run_id, TAG, json.dumps(asdict(mine)))
