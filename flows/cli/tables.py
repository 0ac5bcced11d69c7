"""What the command prints: progress while a study runs, its outcome as tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from regress.kernels.compiler import are_kernels_cached
from regress.report.format import RANKINGS, cell, number, ratio, span, strongest, sure
from tasks.progress import Listener, Unit

if TYPE_CHECKING:
    from regress.study.trial_filter import Fields
    from regress.tracking.store import Store

_STRONGEST = 8  # order effects in the table
_SHOWN = 20  # trials in a table of them
_GRID = ("contamination", "loss", "lr", "sigma", "order", "batch_size")
_FINALS = ("val_median_abs_residual", "final_param_error", "excess_risk", "diverged_fraction")
_CELL = ("contamination", "loss", "lr", "sigma", "batch")
_TEXTS = ("contamination", "loss", "order", "exercise", "fit", "quantity", "verdict", "by")
_COMPILING = "compiling training code, once on this machine"
_DONE: dict[Unit, str] = {"lanes": "trained", "trials": "tracked", "exercises": "tracked"}


@contextmanager
def progress(console: Console, totals: Mapping[Unit, int]) -> Iterator[Listener]:
    """A listener that draws two bars, or prints a line at each quarter where nobody watches."""
    if not console.is_terminal:
        yield _plain(console, totals)
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
            unit: bars.add_task(f"{unit} {_DONE[unit]}", total=total) for unit, total in totals.items()
        }
        compiling = None if are_kernels_cached() else bars.add_task(_COMPILING, total=None)

        def advance(unit: Unit, count: int) -> None:
            if compiling is not None:
                bars.update(compiling, visible=False)
            bars.advance(tasks[unit], count)

        yield advance


def _plain(console: Console, totals: Mapping[Unit, int]) -> Listener:
    done = dict.fromkeys(totals, 0)
    if not are_kernels_cached():
        console.print(_COMPILING)

    def advance(unit: Unit, count: int) -> None:
        before, total = done[unit], totals[unit]
        done[unit] += count
        if 4 * before // total < 4 * done[unit] // total:
            console.print(f"{done[unit]:,} of {total:,} {unit} {_DONE[unit]}", highlight=False)

    return advance


def show_outcome(console: Console, outcome: Mapping[str, Any]) -> None:
    """The winners, beside the references; what diverged and what an order changed; published fits."""
    console.print(
        f"\n[bold]{outcome['study']}[/bold]: {outcome['trials']:,} trials ×"
        f" {outcome['replicates']:,} replicates, {outcome['lanes']:,} models",
        highlight=False,
    )
    console.print(
        _best(outcome["best"]) if outcome["best"] else "Of the trials that are ranked none stayed finite."
    )
    _show_references(console, outcome)
    if outcome["diverged"]:
        console.print(_diverged(outcome["diverged"]))
    else:
        console.print("Nothing diverged.")
    if outcome["orders"]:
        console.print(_orders(outcome["orders"]), highlight=False)
    if outcome.get("published"):
        console.print(_published(outcome["published"]))


def show_trials(console: Console, rows: "Sequence[Fields]", total: int, named: Sequence[str]) -> None:
    """The first trials of a choice: how far off they are, and which of grid and `named` fields vary."""
    if not rows:
        console.print(f"\nNone of {total:,} trials meets the conditions.", highlight=False)
        return
    title = f"{len(rows):,} of {total:,} trials" if len(rows) < total else f"{total:,} trials"
    columns = _columns(rows, named)
    table = _table(title, *columns)
    for row in rows[:_SHOWN]:
        table.add_row(*(_value(row.get(column)) for column in columns))
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"and {len(rows) - _SHOWN:,} more: --csv FILE writes all", highlight=False)


def _columns(rows: "Sequence[Fields]", named: Sequence[str]) -> list[str]:
    values = {name: {row.get(name) for row in rows} for name in (*_GRID, *_FINALS, *named)}
    varying = [name for name in (*_GRID, *named) if len(values[name]) > 1]
    finals = [name for name in _FINALS if values[name] != {None}]
    return list(dict.fromkeys([*varying, *finals]))


def _value(value: str | float | None) -> str:
    return escape(value) if isinstance(value, str) else number(value)


def show_notebook(console: Console, outcome: Mapping[str, Any]) -> None:
    """Each number that the notebook printed in its ensemble, the controls last."""
    table = _table(
        "The notebook's numbers in their ensembles",
        "exercise",
        "fit",
        "quantity",
        "notebook",
        ".05 %",
        "median",
        "99.95 %",
        "not finite",
        "verdict",
    )
    for row in outcome["rows"]:
        verdict = {True: "inside", False: "[bold red]OUTSIDE[/]", None: ""}[row["inside"]]
        table.add_row(*_quantiles(row), verdict)
    for row in outcome["controls"]:
        verdict = "outside" if row["inside"] is False else "[bold red]INSIDE[/]"
        table.add_row(*_quantiles(row), f"control, {verdict}")
    console.print(table)
    found = [row["inside"] for row in outcome["rows"] if row["inside"] is not None]
    console.print(f"{sum(found)} of {len(found)} printed numbers inside", highlight=False)


def _quantiles(row: Mapping[str, Any]) -> tuple[str, ...]:
    printed = row["notebook"]
    shown = "" if printed is None else printed if isinstance(printed, str) else f"{printed:.5g}"
    numbers = (f"{row[name]:.4g}" for name in ("q0005", "median", "q9995"))
    gone = f"{row['nonfinite_fraction']:.1%}" if row["nonfinite_fraction"] else ""
    return row["exercise"], row["fit"], row["quantity"], shown, *numbers, gone


def print_comparison_url(console: Console, store: "Store", url: str) -> None:
    """Where to look further: the address in MLflow's UI, and what starts it where no server runs."""
    if store.ui_command:
        command = escape(store.ui_command)
        console.print(f"\nCompare in MLflow: [bold]{command}[/bold], then open", highlight=False)
    else:
        console.print("\nCompare in MLflow:", highlight=False)
    console.print(f"  {url}", highlight=False, soft_wrap=True)


def show_model(console: Console, model: Mapping[str, Any] | None) -> None:
    """What the registered model is called and how it predicts the rows of a file."""
    if model is None:
        text = "none registered, no winner stayed finite"
    else:
        command = f"mlflow models predict -m {model['uri']} --env-manager local -t csv -i FILE"
        text = f"{model['name']} version {model['version']} (champion): [bold]{command}[/bold]"
    console.print(f"Model: {text}", highlight=False, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        is_text = column in _TEXTS
        table.add_column(
            column, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
        )
    return table


def _best(rows: list[dict[str, Any]]) -> Table:
    metric = RANKINGS[rows[0]["metric"]]
    table = _table(f"Best {rows[0]['order']} trial by median {metric}", *_CELL, "median", "5–95 %")
    for row in rows:
        table.add_row(*cell(row), number(row["median"]), span(number(row["q05"]), number(row["q95"])))
    return table


def _show_references(console: Console, outcome: Mapping[str, Any]) -> None:
    """The references of each contamination, and which of their fits did not converge."""
    rows = outcome.get("references", [])  # an execution of an earlier version has none
    if not rows:
        return
    medians = {row["contamination"]: row["median"] for row in outcome["best"]}
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    metric = RANKINGS[rows[0]["metric"]]
    table = _table(
        f"Beside the field's own estimators: median {metric}",
        "contamination",
        "best trial",
        *names,
        *(f"against {name}" for name in names),
    )
    table.caption = "against: mean squared error over the trial's; above 1 the trial is closer"
    table.caption_justify = "left"
    for contamination in dict.fromkeys(row["contamination"] for row in rows):
        own = {row["estimator"]: row for row in rows if row["contamination"] == contamination}
        table.add_row(
            contamination,
            number(medians.get(contamination)),
            *(number(own[name]["median"]) for name in names),
            *(_efficiency(own[name]["efficiency"]) for name in names),
        )
    console.print(table)
    for row in rows:
        if row["converged"] < 1:
            console.print(
                f"{row['estimator']} has no fit in {1 - row['converged']:.0%} of the replicates under"
                f" {row['contamination']}",
                highlight=False,
            )


def _efficiency(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _published(rows: list[dict[str, Any]]) -> Table:
    names = rows[0]["parameters"]
    agreeing = sum(row["agrees"] for row in rows)
    table = _table(
        f"Published fits to the whole table beside those made here: {agreeing} of {len(rows)} agree",
        "fit",
        "by",
        *names,
        "scale",
        "off by",
        "allowed",
    )
    for row in rows:
        off = f"{row['deviation']:.1g}" if row["agrees"] else f"[bold red]{row['deviation']:.2g}[/]"
        there = [f"{value:.5f}" for value in row["published"]]
        here = [f"{value:.5f}" for value in row["here"]]
        table.add_row(row["fit"], row["source"], *there, _optional(row["published_scale"]), "", "")
        table.add_row("", row["library"], *here, _optional(row["scale"]), off, f"{row['tolerance']:g}")
    return table


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _diverged(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "What diverged", "contamination", "loss", "trials", "of which wholly", "out of", "from lr"
    )
    for row in rows:
        counts = map(str, (row["diverged"], row["wholly"], row["trials"]))
        table.add_row(row["contamination"], row["loss"], *counts, f"{row['from_lr']:g}")
    return table


def _orders(rows: list[dict[str, Any]]) -> Table | str:
    found = sure(rows)
    if not found:
        return f"The order changed the error in none of {len(rows)} cells (Holm p < .05)."
    raised = sum(row["log_ratio"] > 0 for row in found)
    table = _table(
        f"What the order changed: the error in {len(found)} of {len(rows)} cells (Holm p < .05), raised in"
        f" {raised}, lowered in {len(found) - raised}; the strongest",
        "order",
        *_CELL,
        "× shuffled's",
        "95 %",
        "p",
    )
    for row in strongest(found, _STRONGEST):
        table.add_row(
            row["order"],
            *cell(row),
            ratio(row["log_ratio"]),
            span(ratio(row["lo"]), ratio(row["hi"])),
            f"{row['p_holm']:.2g}",
        )
    return table
