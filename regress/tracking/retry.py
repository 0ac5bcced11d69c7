"""Calls to the tracking store that are repeated, or fail with one sentence, where it cannot be reached."""

import errno
import logging
import sqlite3
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

import requests
import sqlalchemy
import tenacity
from mlflow.exceptions import MlflowException

from regress.errors import ServiceLost
from regress.tracking.mlflow_internals import silence_database_log

RETRY_SECONDS = 60.0

P = ParamSpec("P")
T = TypeVar("T")

_DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
}
_SQLITE_DISK_ERRORS = {
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
}
_CONNECTION_ERRORS = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    requests.ConnectionError,
    requests.Timeout,
)
_log = logging.getLogger(__name__)


def retry_on_disconnect(call: Callable[P, T]) -> Callable[P, T]:
    """Return `call`, repeated with backoff for a minute while the store cannot be reached.

    It must be safe to repeat. It raises ServiceLost after that minute, and at once where a disk is full or
    read-only.
    """

    @wraps(call)
    def retried(*args: P.args, **kwargs: P.kwargs) -> T:
        return _retrying(call, *args, **kwargs)

    return fail_on_disconnect(retried)


def fail_on_disconnect(call: Callable[P, T]) -> Callable[P, T]:
    """Return `call`, which raises ServiceLost where the store cannot be reached or a disk is full."""

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with silence_database_log():
                return call(*args, **kwargs)
        except Exception as error:
            if not (is_disconnect(error) or is_full_disk(error)):
                raise
            raise ServiceLost(_sentence(error)) from error

    return checked


def is_disconnect(error: BaseException) -> bool:
    """Return whether an error means that the store could not be reached."""
    return any(
        isinstance(cause, _CONNECTION_ERRORS)
        or (isinstance(cause, MlflowException) and _is_unavailable(cause))
        for cause in _causes(error)
    )


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error means that a disk is full or cannot be written to."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _DISK_ERRORS)
        or (isinstance(cause, sqlite3.OperationalError) and str(cause) in _SQLITE_DISK_ERRORS)
        for cause in _causes(error)
    )


_retrying = tenacity.Retrying(
    retry=tenacity.retry_if_exception(lambda error: is_disconnect(error) and not is_full_disk(error)),
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=8),
    stop=tenacity.stop_after_delay(RETRY_SECONDS),
    before_sleep=lambda state: _log.info(
        "the tracking store cannot be reached, attempt %d", state.attempt_number
    ),
    reraise=True,
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it, the outermost first."""
    while error is not None:
        yield error
        # SQLAlchemy keeps the driver's error in `orig`, which need not be the cause.
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _is_unavailable(error: MlflowException) -> bool:
    return error.error_code == "TEMPORARILY_UNAVAILABLE" or "failed with exception" in str(error)


def _sentence(error: BaseException) -> str:
    reason = " ".join(str(error).split())
    return reason if len(reason) <= 300 else reason[:299] + "…"
