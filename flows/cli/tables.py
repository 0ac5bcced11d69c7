"""Renders tables on the terminal, and prints what a command ends with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich import table as rich_table
from rich.console import Console
from rich.markup import escape

from flows.cli.mlflow_hint import open_in_mlflow
from flows.runtime.shown_command import shown_command
from regress.metrics.table import listed_names
from regress.report.format import format_number
from regress.report.outcome import Outcome
from regress.report.tables import Block, Cell, Table, outcome_blocks

if TYPE_CHECKING:
    from regress.study.trial_filter import Fields
    from regress.tracking.store import Store

_SHOWN = 20  # trials in a table of them
_GRID = ("contamination", "loss", "lr", "sigma", "order", "batch_size")


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print what came of a study."""
    console.print(
        f"\n[bold]{escape(outcome.study)}[/bold]: {outcome.trials:,} trials ×"
        f" {outcome.replicates:,} replicates, {outcome.lanes:,} models",
        highlight=False,
    )
    print_blocks(console, outcome_blocks(outcome))


def print_blocks(console: Console, blocks: Iterable[Block]) -> None:
    """Print tables and sentences."""
    for block in blocks:
        if isinstance(block, Table):
            console.print(f"[bold]{escape(block.title)}[/bold]", highlight=False)
            console.print(_render(block), highlight=False)
            if block.note:
                console.print(f"[italic]{escape(block.note)}[/italic]\n", highlight=False)
        else:
            console.print(escape(block), highlight=False)


def _render(table: Table) -> rich_table.Table:
    rendered = rich_table.Table(box=box.SIMPLE_HEAD)
    for column in table.columns:
        is_text = table.is_text(column)
        rendered.add_column(
            escape(column),
            justify="left" if is_text else "right",
            no_wrap=not is_text,
            overflow="fold",
        )
    for row in table.rows:
        rendered.add_row(*map(_render_cell, row))
    return rendered


def _render_cell(cell: Cell) -> str:
    return f"[bold red]{escape(cell.text)}[/]" if cell.is_failure else escape(cell.text)


def print_trials(console: Console, rows: "Sequence[Fields]", total: int, named: Sequence[str]) -> None:
    """Print the first of the chosen trials: what varies among grid and `named` fields, and the metrics."""
    if not rows:
        console.print(f"\nNone of {total:,} trials meets the conditions.", highlight=False)
        return
    title = f"{len(rows):,} of {total:,} trials" if len(rows) < total else f"{total:,} trials"
    columns = _columns(rows, named)
    cells = [tuple(Cell(_value(row.get(column))) for column in columns) for row in rows[:_SHOWN]]
    print_blocks(console, [Table(title, tuple(columns), tuple(cells))])
    if len(rows) > _SHOWN:
        console.print(f"and {len(rows) - _SHOWN:,} more: --csv FILE writes all", highlight=False)


def _columns(rows: "Sequence[Fields]", named: Sequence[str]) -> list[str]:
    values = {name: {row.get(name) for row in rows} for name in (*_GRID, *listed_names(), *named)}
    varying = [name for name in (*_GRID, *named) if len(values[name]) > 1]
    finals = [name for name in listed_names() if values[name] != {None}]
    return list(dict.fromkeys([*varying, *finals]))


def _value(value: str | float | None) -> str:
    return value if isinstance(value, str) else format_number(value)


def print_comparison_url(console: Console, store: "Store", url: str, run_id: str) -> None:
    """Print the address in MLflow's pages, and the command that serves them where no server does."""
    command = None
    if store.ui_command:
        command, url = open_in_mlflow(store.ui_command, url, run_id)
    if command:
        text = f"\nCompare in MLflow: [bold]{escape(command)}[/bold], then open"
        console.print(text, highlight=False, soft_wrap=True)
    else:
        console.print("\nCompare in MLflow:", highlight=False)
    console.print(f"  {url}", highlight=False, soft_wrap=True)


def print_model(console: Console, model: Mapping[str, Any] | None) -> None:
    """Print the name of the registered model and the command that predicts the rows of a file."""
    if model is None:
        text = "none registered, no winner stayed finite"
    else:
        predict = f"models predict -m {model['uri']} --env-manager local -t csv -i FILE"
        command = f"{shown_command('mlflow')} {predict}"
        text = f"{model['name']} version {model['version']} (champion): [bold]{command}[/bold]"
    console.print(f"Model: {text}", highlight=False, soft_wrap=True)
