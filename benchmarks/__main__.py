"""Command line of the benchmarks: run them, and print how many times faster this project is."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmarks.measure import Missing, Result, as_json, table


class Name(StrEnum):
    """A module of this folder, with a function of the same name that measures."""

    TRAINING = "training"
    COMPILED = "compiled"
    ORDERS = "orders"
    PLOTS = "plots"
    STUDY = "study"
    GROWTH = "growth"
    TRACKING = "tracking"
    NOTEBOOK = "notebook"
    DEPLOYMENT = "deployment"
    REPRODUCE = "reproduce"


def main(
    names: Annotated[list[Name] | None, typer.Argument(help="Benchmarks to run; all by default.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the medians to a file.")] = None,
) -> None:
    """Measure this project and its peers in turn, in one run, on the same work."""
    console = Console()
    results: list[Result | Missing] = []
    for name in names or Name:
        with console.status(f"measuring {name}"):
            results += _benchmark(name)()
    console.print(table(results))
    for result in results:
        console.print(f"[bold]{result.name}[/bold]: {escape(result.note)}", highlight=False)
    if json is not None:
        json.write_text(as_json(results) + "\n")


def _benchmark(name: Name) -> Callable[[], Sequence[Result | Missing]]:
    """Import and return a benchmark, late since each needs libraries that take seconds to import."""
    benchmark: Callable[[], Sequence[Result | Missing]] = getattr(import_module(f"benchmarks.{name}"), name)
    return benchmark


typer.run(main)
