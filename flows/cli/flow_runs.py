"""Flow runs of the commands: preparation while Prefect starts, then the run with a progress bar."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flows.cli.output import new_console
from flows.cli.process_hooks import ProcessHooks

if TYPE_CHECKING:
    from regress.tracking.store import Store


class Interrupted(Exception):
    """The flow run was interrupted; typer would handle a KeyboardInterrupt in its own way."""


@contextmanager
def in_background(work: Callable[[], None]) -> Iterator[None]:
    """Call `work` in a thread meanwhile; wait for it at the end and raise what it raised."""
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(work)
        yield
    future.result()


def open_experiment(name: str, hooks: ProcessHooks) -> "Store":
    """Return the store, with the experiment `name` in it, while Prefect starts in the background.

    It is checked before a flow starts, so that bad input never becomes a failed run.
    """
    with in_background(hooks.start_session):
        from regress.tracking.store import get_or_create_experiment, open_store

        store = open_store()
        get_or_create_experiment(store, name)
        return store


def run_flow(flow: str, totals: dict[str, int], *arguments: object) -> dict[str, Any]:
    """Run the flow `flow` with a progress bar up to `totals` and return its outcome.

    Raises Interrupted.
    """
    import flows.notebook
    import flows.reproduce
    import flows.robustness
    from flows.cli.progress import progress
    from flows.runtime import session

    by_name = {
        "robustness": flows.robustness.robustness,
        "notebook": flows.notebook.run_notebook,
        "reproduce": flows.reproduce.reproduce,
    }
    try:
        with progress(new_console(), totals) as listener:
            return session.run_flow(by_name[flow], listener, *arguments)
    except KeyboardInterrupt:
        raise Interrupted from None
