"""What the command prints of reruns: verdicts, their history, two executions apart."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regress.rerun.verdict import gap

if TYPE_CHECKING:
    from regress.tracking.rerun_runs import RecordedRerun
    from regress.tracking.store import Store

_STYLES = {"HOLDS": "green", "DRIFTED": "bold red", "INCONCLUSIVE": "bold yellow"}
_MARKS = {"HOLDS": "✓", "DRIFTED": "✗", "INCONCLUSIVE": "?"}
_ASKED = ("bits", "tolerance", "statistics", "oracle")
_SHOWN = 30  # reruns in a history


def show_reruns(console: Console, outcome: Mapping[str, Any], store: "Store") -> None:
    """Each execution's verdicts, its controls, what differs of its environment, and where to look."""
    for one in outcome.get("reruns", [outcome]):
        _show_rerun(console, one)
        experiment_id = store.client.get_run(one["rerun_id"]).info.experiment_id
        address = store.run_address(experiment_id, one["rerun_id"])
        console.print(f"  {address}", highlight=False, soft_wrap=True)


def _show_rerun(console: Console, one: Mapping[str, Any]) -> None:
    title = f"[bold]{one['study']}[/bold], execution {one['run_id']}"
    console.print(f"\n{title}: {_word(one['verdict'])}", highlight=False)
    table = _table("", "verdict", "")
    for name, verdict in one["verdicts"].items():
        table.add_row(name, _word(verdict), escape(one["reasons"][name]))
    console.print(table)
    failed = [control for control in one["controls"] if not control["ok"]]
    for control in failed:
        noticed = "was noticed" if control["caught"] else "was not noticed"
        console.print(f"[bold yellow]Control failed[/]: {control['name']} {noticed}", highlight=False)
    if not failed:
        console.print(f"{len(one['controls'])} controls came out as they must.", highlight=False)
    if one["environment"]:
        console.print(_changes("Another environment", "then", "now", one["environment"]))
    if one["changed_files"]:
        console.print(f"Files that differ: {', '.join(one['changed_files'])}", highlight=False)
    console.print(gap(one["hours_since_last_verdict"]), highlight=False)


def show_history(console: Console, past: "Sequence[RecordedRerun]") -> None:
    """One mark a rerun for each execution, then the newest reruns one by one."""
    if not past:
        console.print("No execution was trained again yet: regress reproduce does so.", highlight=False)
        return
    strips = _table("execution", "experiment", "verdicts, the newest last")
    for reproduces in dict.fromkeys(one.reproduces for one in past):
        own = [one for one in past if one.reproduces == reproduces]
        marks = "".join(f"[{_STYLES[one.verdict]}]{_MARKS[one.verdict]}[/]" for one in own)
        strips.add_row(reproduces, own[0].experiment, marks)
    console.print(strips)
    table = _table("when (UTC)", "experiment", "verdict", *_ASKED, "hours since", "rerun")
    for one, hours in list(zip(past, _gaps(past), strict=True))[-_SHOWN:]:
        verdicts = (_word(one.verdicts.get(name)) for name in _ASKED)
        late = hours is not None and hours >= 36
        since = "" if hours is None else f"[bold yellow]{hours:.1f}[/]" if late else f"{hours:.1f}"
        when = f"{one.at:%Y-%m-%d %H:%M}"
        table.add_row(when, one.experiment, _word(one.verdict), *verdicts, since, one.rerun_id)
    console.print(table)


def _gaps(past: "Sequence[RecordedRerun]") -> Iterable[float | None]:
    """Hours since the verdict before on the same execution; None at its first."""
    before: dict[str, Any] = {}
    for one in past:
        last = before.get(one.reproduces)
        yield None if last is None else (one.at - last).total_seconds() / 3600
        before[one.reproduces] = one.at


def show_apart(console: Console, found: Mapping[str, Any]) -> None:
    """What two executions differ in."""
    one, other = (run_id[:8] for run_id in found["runs"])
    titles = {"study": "Study", "environment": "Environment and code", "outcome": "Outcome"}
    for part, title in titles.items():
        if found[part]:
            console.print(_changes(title, one, other, found[part]))
        else:
            console.print(f"{title}: the same", highlight=False)
    if found["changed_files"]:
        console.print(f"Files that differ: {', '.join(found['changed_files'])}", highlight=False)
    differing, shared = found["differing_trials"], found["shared_trials"]
    counts = f"{found['trials'][0]:,} and {found['trials'][1]:,} trials, {shared:,} in both"
    same = "all bit for bit the same" if not differing else f"of which {differing:,} differ"
    console.print(f"Rows: {counts}{f', {same}' if shared else ''}", highlight=False)


def _changes(title: str, then: str, now: str, changes: Mapping[str, Sequence[Any]]) -> Table:
    table = _table("", then, now, title=title)
    for name, (before, after) in changes.items():
        table.add_row(name, _text(before), _text(after))
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "rerun")
    return table


def _text(value: object) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escape(text if len(text) <= 300 else f"{text[:299]}…")


def _word(verdict: str | None) -> str:
    return "not asked" if verdict is None else f"[{_STYLES[verdict]}]{verdict}[/]"
