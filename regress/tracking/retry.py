"""Services that do not answer: asked again for a while, then given up with one sentence."""

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

PATIENCE = 60.0  # seconds

P = ParamSpec("P")
T = TypeVar("T")

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
_SQLITE_HAS_NO_ROOM = {
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
}
_UNREACHABLE = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    requests.ConnectionError,
    requests.Timeout,
)
_log = logging.getLogger(__name__)


def retry_on_disconnect(call: Callable[P, T]) -> Callable[P, T]:
    """`call`, which must be safe to repeat, again with backoff for a minute where the store is away.

    Raises ServiceLost after that, or at once where a disk takes no more.
    """

    @wraps(call)
    def patient(*args: P.args, **kwargs: P.kwargs) -> T:
        return _retrying(call, *args, **kwargs)

    return fail_on_disconnect(patient)


def fail_on_disconnect(call: Callable[P, T]) -> Callable[P, T]:
    """`call`, whose errors are ServiceLost where they say that the store is away or a disk is full."""

    @wraps(call)
    def impatient(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with silence_database_log():
                return call(*args, **kwargs)
        except Exception as error:
            if not (is_disconnect(error) or is_full_disk(error)):
                raise
            raise ServiceLost(_sentence(error)) from error

    return impatient


def is_disconnect(error: BaseException) -> bool:
    """Whether `error` says that a store could not be reached, now."""
    return any(
        isinstance(cause, _UNREACHABLE)
        or (isinstance(cause, MlflowException) and _is_away_by_its_word(cause))
        for cause in _chain(error)
    )


def is_full_disk(error: BaseException) -> bool:
    """Whether `error` says that a disk is full or not to be written to."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _NO_ROOM)
        or (isinstance(cause, sqlite3.OperationalError) and str(cause) in _SQLITE_HAS_NO_ROOM)
        for cause in _chain(error)
    )


_retrying = tenacity.Retrying(
    retry=tenacity.retry_if_exception(lambda error: is_disconnect(error) and not is_full_disk(error)),
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=8),
    stop=tenacity.stop_after_delay(PATIENCE),
    before_sleep=lambda state: _log.info("the tracking store is away, attempt %d", state.attempt_number),
    reraise=True,
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        # SQLAlchemy keeps what the driver raised apart.
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _is_away_by_its_word(error: MlflowException) -> bool:
    return error.error_code == "TEMPORARILY_UNAVAILABLE" or "failed with exception" in str(error)


def _sentence(error: BaseException) -> str:
    reason = " ".join(str(error).split())
    return reason if len(reason) <= 300 else reason[:299] + "…"
