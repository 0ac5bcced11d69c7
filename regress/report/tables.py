"""The tables of an outcome: the same for terminal, Markdown and HTML, which only render them."""

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
    """A text, and whether it reports a failure."""

    text: str
    is_failure: bool = False


@dataclass(frozen=True)
class Table:
    """A titled table of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def is_text(self, column: str) -> bool:
        """Whether the column holds words, not numbers."""
        return column in _TEXT_COLUMNS


Block = Table | str


def outcome_blocks(outcome: Outcome) -> Iterator[Block]:
    """Yield the tables and sentences that tell what came of a study."""
    yield from best_blocks(outcome)
    yield from _reference_blocks(outcome)
    yield from _divergence_blocks(outcome.diverged)
    yield from _order_blocks(outcome.orders)
    if outcome.published:
        yield _published_table(outcome.published)


def description_blocks(outcome: Outcome) -> Iterator[Block]:
    """Yield what fits at the head of a page: the best trials, divergence, order effects."""
    yield from best_blocks(outcome)
    yield from _divergence_blocks(outcome.diverged)
    yield from _order_blocks(outcome.orders)


def best_blocks(outcome: Outcome) -> Iterator[Block]:
    """Yield the best trial of each contamination."""
    if outcome.best:
        yield _best_table(outcome.best, outcome.replicates)
    else:
        yield "All trials that are ranked diverged."


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
    yield from (_missing_fits(row) for row in rows if row.converged < 1)


def _missing_fits(row: RelativeEfficiency) -> str:
    share = f"{1 - row.converged:.0%}"
    return f"{row.estimator} has no fit in {share} of the replicates under {row.contamination}."


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
    lines = []
    for row in rows:
        deviation = Cell(f"{row.deviation:.{1 if row.agrees else 2}g}", is_failure=not row.agrees)
        published = [f"{value:.5f}" for value in row.published]
        here = [f"{value:.5f}" for value in row.here]
        lines += [
            _cells(row.fit, row.source, *published, _scale(row.published_scale), "", ""),
            (
                *_cells("", row.library, *here, _scale(row.scale)),
                deviation,
                Cell(f"{row.tolerance:g}"),
            ),
        ]
    return Table(
        title=f"Published fits to the whole table and the same made here: {agreeing} of {len(rows)} agree",
        columns=("fit", "by", *rows[0].parameters, "scale", "deviation", "allowed"),
        rows=tuple(lines),
    )


def _scale(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _setting(row: BestRow | OrderEffect) -> tuple[str, ...]:
    return row.contamination, row.loss, f"{row.lr:g}", f"{row.sigma:g}", str(row.batch_size)


def _cells(*texts: str) -> tuple[Cell, ...]:
    return tuple(map(Cell, texts))
