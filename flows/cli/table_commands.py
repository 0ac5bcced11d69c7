"""The command `check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from flows.cli.options import JsonFile, check_writable
from flows.cli.output import new_console, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from regress.tables.plan import TablePlan


def check(
    file: Annotated[Path, typer.Argument(help="A table: CSV, TSV, Parquet, Feather, JSON lines, XLSX.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", metavar="COLUMN", help="Use only this column; may be repeated."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Leave this column out; may be repeated.")
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option("--category", metavar="COLUMN", help="Use its values as categories; may be repeated."),
    ] = None,
    dates: Annotated[bool, typer.Option("--dates", help="Use dates as days since the first.")] = False,
    missing: Annotated[
        Literal["refuse", "drop", "median"],
        typer.Option(help="What becomes of rows with missing values."),
    ] = "refuse",
    json: JsonFile = None,
) -> None:
    """Show how the columns of a table would be used, and all that is wrong with it; train nothing."""
    check_writable("--json", json)
    from regress.tables.columns import ColumnChoice
    from regress.tables.plan import plan_table
    from regress.tables.source import read_source

    choice = ColumnChoice(target, tuple(features or ()), tuple(drop or ()), tuple(categories or ()), dates)
    plan = plan_table(read_source(file.expanduser()), choice, missing)
    write_json(json, plan.as_json())
    print_plan(new_console(), plan)
    plan.check()


def print_plan(console: "Console", plan: "TablePlan") -> None:
    """Print the use of each column, the rows and the features."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("column", "used as", "reason"):
        table.add_column(heading, overflow="fold")
    for use in plan.columns:
        style = "dim" if use.used_as == "left out" else "bold" if use.used_as == "target" else None
        table.add_row(escape(use.name), use.used_as, escape(use.reason), style=style)
    console.print(table)
    for encoding in plan.encodings:
        if encoding.merged:
            merged = escape(", ".join(encoding.merged))
            console.print(
                f"Rare values of {escape(encoding.name)} are one category: {merged}", highlight=False
            )
    used = f", {plan.rows_used:,} used" if not plan.problems else ""
    console.print(f"Rows: {plan.rows_read:,} read{used}", highlight=False)
    if plan.features:
        names = escape(", ".join(plan.features))
        console.print(f"Features ({len(plan.features)}): {names}", highlight=False)
