"""The design matrix of a table: numbers as they are, categories as indicators, dates as days."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regress.tables.columns import ColumnUse, Use, level_of
from regress.tables.parse import ParsedColumn

Floats = NDArray[np.float64]
Missing = Literal["refuse", "drop", "median"]

OTHER = "(other)"
_RARE = 0.01  # share of the rows below which levels of a category are merged
_NANOSECONDS_PER_DAY = 86_400 * 10**9


@dataclass(frozen=True)
class Encoding:
    """How one column becomes features.

    `levels` are those of a category, the base first, of which each other one is an indicator; levels in
    `merged` count as `(other)`. `first` is the day that dates are counted from, in nanoseconds since 1970.
    `fill` is the median that replaces missing values, and adds an indicator of them.
    """

    name: str
    used_as: Use
    offset: int = 0
    levels: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    first: int = 0
    fill: float | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features."""
        if self.used_as == "category":
            return tuple(f"{self.name}={level}" for level in self.levels[1:])
        return (self.name,) if self.fill is None else (self.name, f"{self.name} is missing")


def learn_encodings(
    columns: Sequence[ParsedColumn], uses: Sequence[ColumnUse], missing: Missing
) -> list[Encoding]:
    """Return the encoding of each feature column; `missing` says what becomes of missing values."""
    return [
        _learn(column, use.used_as, missing)
        for column, use in zip(columns, uses, strict=True)
        if use.used_as not in ("target", "left out")
    ]


def encode(encodings: Sequence[Encoding], columns: Sequence[ParsedColumn]) -> Floats:
    """Return the features (n, F) of a table's columns; nan where a value is missing and not filled in."""
    by_name = {column.name: column for column in columns}
    parts = [_encode(encoding, by_name[encoding.name]) for encoding in encodings]
    return np.concatenate(parts, axis=1)


def _learn(column: ParsedColumn, used_as: Use, missing: Missing) -> Encoding:
    given = ~column.is_missing
    if used_as == "category":
        levels, merged = _learn_levels(column)
        return Encoding(column.name, used_as, levels=levels, merged=merged)
    first = 0
    if used_as == "date":
        first = int(column.values[given].astype("datetime64[ns]").astype(np.int64).min())
    fill = None
    if missing == "median" and not given.all():
        fill = float(np.median(_numbers(column, used_as, first)[given]))
    return Encoding(column.name, used_as, offset=column.offset, first=first, fill=fill)


def _learn_levels(column: ParsedColumn) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the levels from the most frequent to the least, rare ones merged, and the merged ones."""
    counts = Counter(level_of(value) for value in column.values[~column.is_missing])
    least = max(2.0, _RARE * len(column.values))
    ranked = [level for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    rare = tuple(level for level in ranked[1:] if counts[level] < least)
    if len(rare) < 2:
        return tuple(ranked), ()
    return (*(level for level in ranked if level not in rare), OTHER), rare


def _encode(encoding: Encoding, column: ParsedColumn) -> Floats:
    if encoding.used_as == "category":
        return _indicators(encoding, column)
    values = _numbers(column, encoding.used_as, encoding.first)
    if encoding.fill is None:
        return values[:, None]
    is_missing = column.is_missing
    return np.stack([np.where(is_missing, encoding.fill, values), is_missing.astype(float)], axis=1)


def _indicators(encoding: Encoding, column: ParsedColumn) -> Floats:
    """Return an indicator of each level but the base (n, levels - 1); a missing value is the base."""
    texts = np.array(
        [None if m else level_of(v) for v, m in zip(column.values, column.is_missing, strict=True)]
    )
    shown = [OTHER if text in encoding.merged else text for text in texts]
    return np.array([[float(text == level) for level in encoding.levels[1:]] for text in shown]).reshape(
        len(shown), len(encoding.levels) - 1
    )


def _numbers(column: ParsedColumn, used_as: Use, first: int) -> Floats:
    if used_as != "date":
        return np.asarray(column.values, np.float64)
    stamps = column.values.astype("datetime64[ns]").astype(np.int64)
    return np.where(column.is_missing, np.nan, (stamps - first) / _NANOSECONDS_PER_DAY)
