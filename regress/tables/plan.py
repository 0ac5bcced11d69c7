"""What a table is used for: its columns, rows and features, and all that is wrong with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from regress.errors import InputError
from regress.tables.columns import (
    ColumnChoice,
    ColumnUse,
    choose_columns,
    count_missing,
    find_problems,
    rows_without_missing,
)
from regress.tables.encode import Encoding, Missing, learn_encodings
from regress.tables.parse import ParsedColumn, parse_frame
from regress.tables.source import Source


@dataclass(frozen=True)
class TablePlan:
    """The use of a table; `problems` are reasons why it cannot be fitted."""

    source: str
    columns: tuple[ColumnUse, ...]
    rows_read: int
    rows_used: int
    encodings: tuple[Encoding, ...]
    missing: dict[str, int]  # values by used column
    problems: tuple[str, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(name for encoding in self.encodings for name in encoding.features)

    def check(self) -> None:
        """Raise InputError with all problems if there are any."""
        if self.problems:
            raise InputError(f"{self.source}: {'; '.join(self.problems)}")

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "source": self.source,
            "columns": [asdict(use) for use in self.columns],
            "rows": {"read": self.rows_read, "used": self.rows_used},
            "features": list(self.features),
            "missing": self.missing,
            "problems": list(self.problems),
        }


def plan_table(source: Source, choice: ColumnChoice, missing: Missing = "refuse") -> TablePlan:
    """Return the use of a table.

    Raises
    ------
    InputError
        A column that `choice` names is not in the table, or two columns have one name.
    """
    columns = parse_frame(source.frame)
    uses = choose_columns(columns, choice)
    counts = count_missing(columns, uses)
    dropped = set(counts) if missing == "drop" else set(counts) & {choice.target}
    rows = rows_without_missing(columns, dropped)
    problems = find_problems(columns, uses)
    if missing == "refuse" and counts:
        problems.append(_refuse_missing(columns, counts))
    encodings = [] if problems else learn_encodings(columns, uses, missing)
    return TablePlan(
        source=source.name,
        columns=tuple(uses),
        rows_read=len(rows),
        rows_used=int(rows.sum()),
        encodings=tuple(encodings),
        missing=counts,
        problems=tuple(problems),
    )


def _refuse_missing(columns: Sequence[ParsedColumn], counts: dict[str, int]) -> str:
    """Return how many values are missing, and what the two ways out cost."""
    rows = rows_without_missing(columns, set(counts))
    empty = ", ".join(f"{count:,} in {name!r}" for name, count in counts.items())
    lost = len(rows) - int(rows.sum())
    return (
        f"values are missing, {empty}; use --missing drop, which leaves out {lost:,} of {len(rows):,} rows,"
        " or --missing median, which fills them in"
    )
