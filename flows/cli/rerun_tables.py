"""Terminal output about reruns: their verdicts, their history, and the diff of two executions."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regress.rerun.verdict_tables import LATE, describe_time_since_last

if TYPE_CHECKING:
    from regress.tracking.rerun_runs import RecordedRerun
    from regress.tracking.store import Store

_STYLES = {"HOLDS": "green", "DRIFTED": "bold red", "INCONCLUSIVE": "bold yellow"}
_MARKS = {"HOLDS": "✓", "DRIFTED": "✗", "INCONCLUSIVE": "?"}
_CHECKS = ("bits", "tolerance", "statistics", "oracle")
_MAX_RERUNS = 30  # in the table of the newest reruns
_MAX_LENGTH = 300  # characters of a value


def show_reruns(console: Console, outcome: Mapping[str, Any], store: "Store") -> None:
    """Print each rerun's verdicts, controls and changes of the environment, and its address in MLflow."""
    for rerun in outcome.get("reruns", [outcome]):
        _show_rerun(console, rerun)
        experiment_id = store.client.get_run(rerun["rerun_id"]).info.experiment_id
        address = store.run_address(experiment_id, rerun["rerun_id"])
        console.print(f"  {address}", highlight=False, soft_wrap=True)


def _show_rerun(console: Console, rerun: Mapping[str, Any]) -> None:
    title = f"[bold]{rerun['study']}[/bold], execution {rerun['run_id']}"
    console.print(f"\n{title}: {_styled_verdict(rerun['verdict'])}", highlight=False)
    table = _new_table("check", "verdict", "reason")
    for check, verdict in rerun["verdicts"].items():
        table.add_row(check, _styled_verdict(verdict), escape(rerun["reasons"][check]))
    console.print(table)
    _show_controls(console, rerun["controls"])
    if rerun["environment"]:
        console.print(_changes_table("Changed environment", "recorded", "now", rerun["environment"]))
    _show_changed_files(console, rerun["changed_files"])
    console.print(describe_time_since_last(rerun["hours_since_last_verdict"]), highlight=False)


def _show_controls(console: Console, controls: Sequence[Mapping[str, Any]]) -> None:
    failed = [control for control in controls if not control["ok"]]
    for control in failed:
        detected = "was detected" if control["caught"] else "was not detected"
        console.print(f"[bold yellow]Control failed[/]: {control['name']} {detected}", highlight=False)
    if not failed:
        console.print(f"All {len(controls)} controls came out as expected.", highlight=False)


def _show_changed_files(console: Console, files: Sequence[str] | None) -> None:
    if files:
        console.print(f"Changed files: {', '.join(files)}", highlight=False)


def show_history(console: Console, reruns: "Sequence[RecordedRerun]") -> None:
    """Print each execution's verdicts as a row of marks, then a table of the newest reruns."""
    if not reruns:
        console.print("No reruns yet. `regress reproduce` runs one.", highlight=False)
        return
    console.print(_marks_table(reruns))
    table = _new_table("time (UTC)", "experiment", "verdict", *_CHECKS, "hours since", "rerun")
    for rerun, hours in list(zip(reruns, _hours_since_previous(reruns), strict=True))[-_MAX_RERUNS:]:
        table.add_row(
            f"{rerun.at:%Y-%m-%d %H:%M}",
            rerun.experiment,
            _styled_verdict(rerun.verdict),
            *(_styled_verdict(rerun.verdicts.get(check)) for check in _CHECKS),
            _styled_hours(hours),
            rerun.rerun_id,
        )
    console.print(table)


def _marks_table(reruns: "Sequence[RecordedRerun]") -> Table:
    table = _new_table("execution", "experiment", "verdicts, oldest to newest")
    by_execution: dict[str, list[RecordedRerun]] = {}
    for rerun in reruns:
        by_execution.setdefault(rerun.reproduces, []).append(rerun)
    for execution, execution_reruns in by_execution.items():
        marks = (f"[{_STYLES[rerun.verdict]}]{_MARKS[rerun.verdict]}[/]" for rerun in execution_reruns)
        table.add_row(execution, execution_reruns[0].experiment, "".join(marks))
    return table


def _hours_since_previous(reruns: "Sequence[RecordedRerun]") -> Iterator[float | None]:
    """Yield the hours since the previous verdict on the same execution; None for its first."""
    previous: dict[str, datetime] = {}
    for rerun in reruns:
        last = previous.get(rerun.reproduces)
        yield None if last is None else (rerun.at - last).total_seconds() / 3600
        previous[rerun.reproduces] = rerun.at


def _styled_hours(hours: float | None) -> str:
    if hours is None:
        return ""
    return f"[bold yellow]{hours:.1f}[/]" if hours >= LATE else f"{hours:.1f}"


def show_diff(console: Console, differences: Mapping[str, Any]) -> None:
    """Print the differences between two executions."""
    left, right = (run_id[:8] for run_id in differences["runs"])
    titles = {"study": "Study", "environment": "Environment and code", "outcome": "Outcome"}
    for part, title in titles.items():
        if differences[part]:
            console.print(_changes_table(title, left, right, differences[part]))
        else:
            console.print(f"{title}: no difference", highlight=False)
    _show_changed_files(console, differences["changed_files"])
    console.print(_describe_rows(differences), highlight=False)


def _describe_rows(differences: Mapping[str, Any]) -> str:
    left, right = differences["trials"]
    shared, differing = differences["shared_trials"], differences["differing_trials"]
    text = f"Trials: {left:,} and {right:,}, {shared:,} in both"
    if not shared:
        return text
    return (
        f"{text}, {differing:,} of them with other bits" if differing else f"{text}, all bit for bit equal"
    )


def _changes_table(title: str, left: str, right: str, changes: Mapping[str, Sequence[Any]]) -> Table:
    table = _new_table("", left, right, title=title)
    for name, (left_value, right_value) in changes.items():
        table.add_row(name, _shorten(left_value), _shorten(right_value))
    return table


def _new_table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "rerun")
    return table


def _shorten(value: object) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escape(text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}…")


def _styled_verdict(verdict: str | None) -> str:
    return "not checked" if verdict is None else f"[{_STYLES[verdict]}]{verdict}[/]"
