"""Progress on the screen while a flow runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from regress.kernels.compiler import are_kernels_cached
from tasks.progress import Listener

_COMPILING = "compiling training code, once on this machine"
_VERBS = {"models": "trained", "trials": "tracked", "exercises": "tracked"}


@contextmanager
def progress(console: Console, totals: Mapping[str, int]) -> Iterator[Listener]:
    """Yield a listener that draws bars, or prints a line at each quarter where there is no terminal."""
    if not console.is_terminal:
        yield _print_quarters(console, totals)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", justify="right"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {
            unit: bars.add_task(f"{unit} {_VERBS[unit]}", total=total) for unit, total in totals.items()
        }
        compiling = None if are_kernels_cached() else bars.add_task(_COMPILING, total=None)

        def advance(unit: str, count: int) -> None:
            if compiling is not None:
                bars.update(compiling, visible=False)
            bars.advance(tasks[unit], count)

        yield advance


def _print_quarters(console: Console, totals: Mapping[str, int]) -> Listener:
    counts = dict.fromkeys(totals, 0)
    if not are_kernels_cached():
        console.print(_COMPILING)

    def advance(unit: str, count: int) -> None:
        before, total = counts[unit], totals[unit]
        counts[unit] += count
        if 4 * before // total < 4 * counts[unit] // total:
            console.print(f"{counts[unit]:,} of {total:,} {unit} {_VERBS[unit]}", highlight=False)

    return advance
