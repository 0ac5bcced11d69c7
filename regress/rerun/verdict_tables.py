"""The tables of a rerun's report."""

from collections.abc import Iterator, Mapping

from regress.report.tables import Block, Cell, Table
from regress.rerun.environment_changes import Change
from regress.rerun.verdict import RerunReport, Verdict

_MAX_LENGTH = 300  # characters of a value
LATE = 36.0  # hours after which a nightly verdict was missed


def verdict_blocks(report: RerunReport, url: str | None = None) -> Iterator[Block]:
    """Yield the report's verdicts, controls and changes, with a link to the execution at `url`."""
    execution = f"[{report.run_id}]({url})" if url else report.run_id
    yield f"**{report.verdict}**: {report.study.name}, retrained execution {execution}."
    yield Table(
        title="",
        columns=("check", "verdict", "reason"),
        rows=tuple(
            (
                Cell(name),
                Cell(check.verdict or "not checked", is_failure=check.verdict == Verdict.DRIFTED),
                Cell(_shorten(check.reason)),
            )
            for name, check in report.checks.items()
        ),
    )
    yield Table(
        title="",
        columns=("control", "detected", "result"),
        rows=tuple(
            (
                Cell(control.name),
                Cell("yes" if control.caught else "no"),
                Cell("as expected" if control.ok else "FAILED", is_failure=not control.ok),
            )
            for control in report.controls
        ),
    )
    yield describe_time_since_last(report.hours_since_last)
    if report.environment:
        yield _environment_table(report.environment)
    if report.changed_files:
        yield f"Changed files: {', '.join(f'`{name}`' for name in report.changed_files)}."


def describe_time_since_last(hours: float | None) -> str:
    """Return a sentence on the time since the last verdict and the number of missed nights."""
    if hours is None:
        return "This is the first verdict on this execution."
    nights = round(hours / 24) - 1
    missed = f", {nights} {'night' if nights == 1 else 'nights'} missed" if hours >= LATE else ""
    return f"The last verdict was {hours:.1f} hours ago{missed}."


def _environment_table(changes: Mapping[str, Change]) -> Table:
    return Table(
        title="",
        columns=("environment", "recorded", "now"),
        rows=tuple(
            tuple(Cell(_shorten(text)) for text in (name, recorded, now))
            for name, (recorded, now) in changes.items()
        ),
    )


def _shorten(text: str | None) -> str:
    if text is None:
        return "–"
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
