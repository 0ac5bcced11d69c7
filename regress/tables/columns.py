"""Which columns of a table are used, as what, and why the others are left out."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from regress.errors import InputError, suggest
from regress.tables.numbers import is_missing, parse_numbers
from regress.tables.parse import ParsedColumn

Use = Literal["target", "number", "boolean", "category", "date", "left out"]

MAX_LEVELS = 12  # of a category
_MOSTLY = 0.9  # share of numbers from which on the other values of a column count as errors
_ID_NAME = re.compile(
    r"(^|[\W_])(id|ids|uuid|guid|key|index|row|nr|no|number)$|^unnamed: \d+$", re.IGNORECASE
)


@dataclass(frozen=True)
class ColumnUse:
    """How a column is used, and the reason."""

    name: str
    used_as: Use
    reason: str = ""


@dataclass(frozen=True)
class ColumnChoice:
    """What the user has decided: `features` are the only ones used, if given; `drop` are left out.

    Columns of `categories` are categories whatever they hold, and `uses_dates` turns dates into days.
    """

    target: str
    features: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    uses_dates: bool = False


def choose_columns(columns: Sequence[ParsedColumn], choice: ColumnChoice) -> list[ColumnUse]:
    """Return the use of each column of a table, in its order.

    Raises
    ------
    InputError
        A column that `choice` names is not in the table, or two columns have one name.
    """
    names = [column.name for column in columns]
    _check_names(names, choice)
    return [_choose(column, choice) for column in columns]


def find_problems(columns: Sequence[ParsedColumn], uses: Sequence[ColumnUse]) -> list[str]:
    """Return all reasons why a table cannot be fitted, each a clause that names its column."""
    used = [(c, use) for c, use in zip(columns, uses, strict=True) if use.used_as != "left out"]
    problems = [problem for column, use in used for problem in _problems(column, use)]
    rows = len(columns[0].values)
    if rows < 5:
        problems.append(f"the table has {rows} rows, expected at least 5")
    if all(use.used_as == "target" for _, use in used):
        problems.append("no column is left to predict the target from")
    elif len(used) > rows:
        problems.append(f"{len(used) - 1} features are more than the {rows} rows can determine")
    return problems


def _check_names(names: Sequence[str], choice: ColumnChoice) -> None:
    given = {"target": (choice.target,), "features": choice.features, "drop": choice.drop}
    for option, columns in (*given.items(), ("categories", choice.categories)):
        for column in columns:
            if column not in names:
                raise InputError(f"{option}: the table has no column {column!r}; {suggest(column, names)}")
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"the table has {count} columns named {name!r}")
    if choice.target in (*choice.features, *choice.drop, *choice.categories):
        raise InputError(f"target: {choice.target!r} cannot be a feature, dropped or a category")


def _choose(column: ParsedColumn, choice: ColumnChoice) -> ColumnUse:
    name = column.name
    if name == choice.target:
        return ColumnUse(name, "target", "; ".join(column.notes))
    if name in choice.drop:
        return ColumnUse(name, "left out", "dropped as asked")
    if name in choice.categories:
        return ColumnUse(name, "category", _describe_levels(column))
    if choice.features:
        if name not in choice.features:
            return ColumnUse(name, "left out", "not among the features")
        return _use_by_kind(column, uses_dates=True)
    return _leave_out(column) or _use_by_kind(column, choice.uses_dates)


def _leave_out(column: ParsedColumn) -> ColumnUse | None:
    """Return why a column says nothing about the target; None if it may."""
    name, given = column.name, column.values[~column.is_missing]
    distinct = len(set(given.tolist()))
    if not name or name.lower().startswith("unnamed:"):
        return ColumnUse(name, "left out", "has no name, as a saved index has")
    if distinct == 0:
        return ColumnUse(name, "left out", "is empty")
    if distinct == 1:
        return ColumnUse(name, "left out", f"is constant, {_show(column)}")
    if _is_id(column, distinct):
        return ColumnUse(name, "left out", "is an id: all its values are distinct")
    return None


def _is_id(column: ParsedColumn, distinct: int) -> bool:
    count = len(column.values)
    if distinct < count or count < 5:
        return False
    if column.kind == "text":
        return count > MAX_LEVELS and not _is_mostly_numbers(column)
    if column.kind != "number":
        return False
    values = np.asarray(column.values, float)
    is_integer = bool(np.all(values == np.floor(values)))
    is_consecutive = is_integer and values.max() - values.min() == count - 1
    return is_integer and (is_consecutive or _ID_NAME.search(column.name) is not None)


def _use_by_kind(column: ParsedColumn, uses_dates: bool) -> ColumnUse:
    name, notes = column.name, "; ".join(column.notes)
    if column.kind == "number":
        return ColumnUse(name, "number", notes)
    if column.kind == "boolean":
        assert column.labels is not None
        return ColumnUse(name, "boolean", f"{column.labels[1]} is 1, {column.labels[0]} is 0")
    if column.kind == "date":
        if uses_dates:
            return ColumnUse(name, "date", "days since the first")
        return ColumnUse(name, "left out", "is a date; ask for dates to use its days")
    return _use_text(column)


def _use_text(column: ParsedColumn) -> ColumnUse:
    name, levels = column.name, len({text for text in column.values if text is not None})
    if _is_mostly_numbers(column):
        return ColumnUse(name, "number")  # its other values are a problem
    if levels > MAX_LEVELS:
        return ColumnUse(name, "left out", f"is a text with {levels:,} values, more than {MAX_LEVELS}")
    return ColumnUse(name, "category", _describe_levels(column))


def _describe_levels(column: ParsedColumn) -> str:
    counts = Counter(level_of(value) for value in column.values[~column.is_missing])
    base, _ = counts.most_common(1)[0]
    return f"{len(counts)} levels, {base!r} being the base"


def level_of(value: object) -> str:
    """Return the level of a category that a value stands for."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _problems(column: ParsedColumn, use: ColumnUse) -> list[str]:
    """Return what makes a column unusable as what it is used as."""
    if use.used_as in ("number", "target") and _is_mostly_numbers(column):
        return [_not_a_number(column)]
    if use.used_as == "target":
        if column.kind not in ("number", "boolean"):
            return [f"the target {column.name!r} holds {column.kind}s, expected numbers"]
        if len(set(column.values[~column.is_missing].tolist())) < 2:
            return [f"the target {column.name!r} does not vary"]
    if (
        use.used_as == "number"
        and not np.isfinite(np.asarray(column.values, float)[~column.is_missing]).all()
    ):
        return [f"{column.name!r} holds infinite numbers"]
    return []


def _not_a_number(column: ParsedColumn) -> str:
    bad = [i for i, text in enumerate(column.values) if text is not None and parse_numbers([text]) is None]
    if not bad:
        return f"the numbers of {column.name!r} are written in several ways, as {column.values[0]!r}"
    first = bad[0]
    count = "a value that is" if len(bad) == 1 else f"{len(bad):,} values that are"
    return f"{column.name!r} has {count} no number, {column.values[first]!r} in row {first + 1}"


def _is_mostly_numbers(column: ParsedColumn) -> bool:
    texts = [text for text in column.values if isinstance(text, str) and not is_missing(text)]
    if column.kind != "text" or not texts:
        return False
    return sum(parse_numbers([text]) is not None for text in texts) >= _MOSTLY * len(texts)


def _show(column: ParsedColumn) -> str:
    value = column.values[~column.is_missing][0]
    return repr(value) if column.kind == "text" else str(value)


def count_missing(columns: Sequence[ParsedColumn], uses: Sequence[ColumnUse]) -> dict[str, int]:
    """Return the number of missing values of each used column that has any."""
    used = {use.name for use in uses if use.used_as != "left out"}
    counts = {c.name: int(c.is_missing.sum()) for c in columns if c.name in used}
    return {name: count for name, count in counts.items() if count}


def rows_without_missing(columns: Sequence[ParsedColumn], names: Collection[str]) -> np.ndarray:
    """Return a mask (n,) of the rows in which none of the named columns is missing."""
    missing = np.zeros(len(columns[0].values), bool)
    for column in columns:
        if column.name in names:
            missing |= column.is_missing
    return ~missing
