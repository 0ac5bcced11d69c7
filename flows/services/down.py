"""What `up` has started, stopped: flow runs first, so that they can say so, and nothing else."""

from collections.abc import Callable

from flows.services import site as kept
from flows.services.process import stop, stop_descendants
from flows.services.site import PREFECT, WORKER, Ledger
from flows.services.stale import mend


def take_down(say: Callable[[str, str], None]) -> None:
    """Stops all of it and forgets it; what is recorded stays."""
    with kept.alone():
        ledger = kept.read()
        if ledger is None:
            say("nothing", "is up")
            return
        if worker := ledger.processes.get(WORKER):
            stop_descendants(worker)  # a worker that ends first leaves its runs Running for ever
            stop(worker)
            _mend(ledger, say)
        stop(*ledger.processes.values())
        kept.forget()
        for name in ledger.processes:
            say(name, "stopped")


def _mend(ledger: Ledger, say: Callable[[str, str], None]) -> None:
    if ledger.alive(PREFECT) is None:
        return
    try:
        mend(ledger)
    except Exception as error:  # whatever the server has, it is to be stopped
        say("flow runs", f"could not be looked through: {error}")
