"""Runs benchmarks, and prints how many times better this project does than its peers."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.measure import Missing, Result, as_json, table


class Name(StrEnum):
    """A file of this folder, and the function in it that measures."""

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
    names: Annotated[list[Name] | None, typer.Argument(help="What to measure; everything if none.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the medians.")] = None,
) -> None:
    """Measure this project beside its peers, both sides taking turns in one run."""
    console = Console()
    results: list[Result | Missing] = []
    for name in names or Name:
        with console.status(f"measuring {name}"):
            results += _benchmark(name)()
    console.print(table(results))
    for result in results:
        console.print(f"[bold]{result.name}[/bold]: {result.note}", highlight=False)
    if json is not None:
        json.write_text(as_json(results) + "\n")


def _benchmark(name: Name) -> Callable[[], Sequence[Result | Missing]]:
    """Imported here, since each needs libraries that take seconds to import."""
    benchmark: Callable[[], Sequence[Result | Missing]] = getattr(import_module(f"benchmarks.{name}"), name)
    return benchmark


typer.run(main)
