"""The tables of an outcome, from which terminal, Markdown and HTML are rendered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from regress.comparison import (
    BestRow,
    Diverged,
    OrderEffect,
    RelativeEfficiency,
    significant_effects,
    strongest_by_group,
)
from regress.comparison.order_effects import SIGNIFICANT
from regress.metrics.table import METRICS
from regress.report.format import format_interval, format_number, format_optional, format_ratio
from regress.report.outcome import Outcome, PublishedRow

STRONGEST = 8  # order effects in a table

_SETTING = ("contamination", "loss", "lr", "sigma", "batch")
_TEXT_COLUMNS = (
    *("contamination", "loss", "order", "by"),
    *("exercise", "fit", "quantity", "verdict"),
    *("check", "reason", "control", "detected", "result", "environment", "recorded", "now"),
)


@dataclass(frozen=True)
class Cell:
    """A text of a table, and whether it reports a failure."""

    text: str
    is_failure: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts with a title and a note."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def is_text(self, column: str) -> bool:
        """Return whether the column holds words rather than numbers."""
        return column in _TEXT_COLUMNS


Block = Table | str


def outcome_blocks(outcome: Outcome) -> Iterator[Block]:
    """Yield the tables and sentences of a study's outcome."""
    yield from best_blocks(outcome)
    yield from _reference_blocks(outcome)
    yield from _divergence_blocks(outcome.diverged)
    yield from _order_blocks(outcome.orders)
    if outcome.published:
        yield _published_table(outcome.published)


def description_blocks(outcome: Outcome) -> Iterator[Block]:
    """Yield a summary for the head of a page: the best trials, divergence, order effects."""
    yield from best_blocks(outcome)
    yield from _divergence_blocks(outcome.diverged)
    yield from _order_blocks(outcome.orders)


def best_blocks(outcome: Outcome) -> Iterator[Block]:
    """Yield the best trial of each contamination."""
    if outcome.best:
        yield _best_table(outcome.best, outcome.replicates)
    else:
        yield "All trials in the ranking diverged."


def _best_table(rows: Sequence[BestRow], replicates: int) -> Table:
    label = METRICS[rows[0].metric].label
    return Table(
        title=f"Best {rows[0].order} trial by median {label}, over {replicates:,} replicates",
        columns=(*_SETTING, "median", "5–95 %"),
        rows=tuple(
            _cells(
                *_setting(row),
                format_number(row.median),
                format_interval(format_number(row.q05), format_number(row.q95)),
            )
            for row in rows
        ),
    )


def _reference_blocks(outcome: Outcome) -> Iterator[Block]:
    rows = outcome.references
    if not rows:
        return
    medians = {row.contamination: row.median for row in outcome.best}
    names = list(dict.fromkeys(row.estimator for row in rows))
    table_rows = []
    for contamination in dict.fromkeys(row.contamination for row in rows):
        by_name = {row.estimator: row for row in rows if row.contamination == contamination}
        table_rows.append(
            _cells(
                contamination,
                format_number(medians.get(contamination)),
                *(format_number(by_name[name].median) for name in names),
                *(format_optional(by_name[name].efficiency) for name in names),
            )
        )
    yield Table(
        title=f"Compared with reference estimators: median {METRICS[rows[0].metric].label}",
        columns=("contamination", "best trial", *names, *(f"vs {name}" for name in names)),
        rows=tuple(table_rows),
        note="vs: the estimator's mean squared error over the best trial's; above 1 the trial is closer",
    )
    yield from (_describe_missing_fits(row) for row in rows if row.converged < 1)


def _describe_missing_fits(row: RelativeEfficiency) -> str:
    fraction = f"{1 - row.converged:.0%}"
    return f"{row.estimator} has no fit in {fraction} of the replicates under {row.contamination}."


def _divergence_blocks(rows: Sequence[Diverged]) -> Iterator[Block]:
    if not rows:
        yield "No trial diverged."
        return
    yield Table(
        title="Trials that diverged, in at least one replicate",
        columns=("contamination", "loss", "trials", "in all replicates", "out of", "from lr"),
        rows=tuple(
            _cells(
                row.contamination,
                row.loss,
                str(row.diverged),
                str(row.wholly),
                str(row.trials),
                f"{row.from_lr:g}",
            )
            for row in rows
        ),
    )


def _order_blocks(effects: Sequence[OrderEffect]) -> Iterator[Block]:
    if not effects:
        return
    significant = significant_effects(effects)
    level = f"adjusted p < {SIGNIFICANT:g}, Holm"
    if not significant:
        yield f"The order changed the error in none of {len(effects)} settings ({level})."
        return
    raised = sum((effect.log_ratio or 0) > 0 for effect in significant)
    yield Table(
        title=f"The order changed the error in {len(significant)} of {len(effects)} settings ({level}):"
        f" raised in {raised}, lowered in {len(significant) - raised}; the strongest",
        columns=("order", *_SETTING, "error / shuffled", "95 %", "adjusted p"),
        rows=tuple(
            _cells(
                effect.order,
                *_setting(effect),
                format_ratio(effect.log_ratio),
                format_interval(format_ratio(effect.lo), format_ratio(effect.hi)),
                format_optional(effect.p_holm, ".2g"),
            )
            for effect in strongest_by_group(significant, STRONGEST)
        ),
    )


def _published_table(rows: Sequence[PublishedRow]) -> Table:
    agreeing = sum(row.agrees for row in rows)
    table_rows = []
    for row in rows:
        deviation = Cell(f"{row.deviation:.{1 if row.agrees else 2}g}", is_failure=not row.agrees)
        published = [f"{value:.5f}" for value in row.published]
        library = [f"{value:.5f}" for value in row.here]
        table_rows += [
            _cells(row.fit, row.source, *published, _scale(row.published_scale), "", ""),
            (
                *_cells("", row.library, *library, _scale(row.scale)),
                deviation,
                Cell(f"{row.tolerance:g}"),
            ),
        ]
    return Table(
        title="Published fits to the whole table, and the same fits by this program:"
        f" {agreeing} of {len(rows)} agree",
        columns=("fit", "by", *rows[0].parameters, "scale", "deviation", "allowed"),
        rows=tuple(table_rows),
    )


def _scale(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _setting(row: BestRow | OrderEffect) -> tuple[str, ...]:
    return row.contamination, row.loss, f"{row.lr:g}", f"{row.sigma:g}", str(row.batch_size)


def _cells(*texts: str) -> tuple[Cell, ...]:
    return tuple(map(Cell, texts))
