"""Changes to the whole process, made by entry points only: environment, signals, garbage collection.

`flows.cli.main.main` and what it alone calls are entry points. Everything else, `flows.cli.main.execute`
included, may run inside a program whose signals, environment and collector belong to somebody else.
"""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

MLFLOW_DEFAULTS = {
    # MLflow's own default of 7 attempts with backoff takes up to four minutes, 5 take half a minute.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def configure_process() -> None:
    """Set default environment variables and let SIGTERM interrupt the command as Ctrl-C does."""
    for name, value in MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def permanent_objects() -> Iterator[None]:
    """Within the context collect no garbage; afterwards never again examine what was created in it.

    For imports: examining imported modules for garbage takes half a second.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def skip_final_collection() -> None:
    """Exempt all objects from the collection at interpreter exit, which takes a second with torch."""
    gc.freeze()
