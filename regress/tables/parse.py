"""Columns of a table as numbers, booleans, dates or texts, whatever type a file has given them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal as Exact
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regress.tables.numbers import Decimal, exact_floats, is_missing, parse_numbers

Kind = Literal["number", "boolean", "date", "text"]

_BOOLEANS = (
    ("no", "yes"),
    ("false", "true"),
    ("n", "y"),
    ("f", "t"),
    ("nein", "ja"),
    ("non", "oui"),
    ("no", "si"),
    ("no", "sí"),
)
_DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
)
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].*)?")


@dataclass(frozen=True)
class ParsedColumn:
    """A column: `values` are float64 with nan, datetime64[ns] with NaT, or texts with None where missing.

    Numbers are relative to `offset`; `labels` are the texts of a boolean's 0 and 1. `notes` say what was
    assumed.
    """

    name: str
    kind: Kind
    values: NDArray[np.generic]
    offset: int = 0
    labels: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Whether each value is missing (n,)."""
        return np.asarray(pd.isna(self.values))


def parse_frame(frame: pd.DataFrame) -> list[ParsedColumn]:
    """Return the columns of a table; a decimal mark that one column proves holds for ambiguous ones."""
    columns = [_parse(frame.iloc[:, i], ".") for i in range(frame.shape[1])]
    marks = {column.notes[0] for column in columns if column.notes[:1] == ("decimal comma",)}
    if not marks:
        return columns
    return [
        _parse(frame.iloc[:, i], ",") if "ambiguous" in " ".join(column.notes) else column
        for i, column in enumerate(columns)
    ]


def _parse(column: pd.Series, prefer: Decimal) -> ParsedColumn:
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else _extension_kind(column)
    if kind == "b":
        return _boolean(
            name, [None if pd.isna(v) else str(bool(v)).lower() for v in column], ("false", "true")
        )
    if kind in "iuf":
        texts = None if kind == "f" else [None if pd.isna(v) else str(int(v)) for v in column]
        values, offset = (
            (column.to_numpy(np.float64, na_value=np.nan), 0) if texts is None else exact_floats(texts)
        )
        return ParsedColumn(name, "number", values, offset)
    if kind == "M":
        stamps = pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy("datetime64[ns]")
        return ParsedColumn(name, "date", stamps)
    if kind == "m":
        days = column.dt.total_seconds().to_numpy(np.float64) / 86_400
        return ParsedColumn(name, "number", days, notes=("a duration in days",))
    return _parse_objects(name, column.tolist(), prefer)


def _extension_kind(column: pd.Series) -> str:
    for kind, is_kind in {
        "b": pd.api.types.is_bool_dtype,
        "i": pd.api.types.is_integer_dtype,
        "f": pd.api.types.is_float_dtype,
        "M": pd.api.types.is_datetime64_any_dtype,
        "m": pd.api.types.is_timedelta64_dtype,
    }.items():
        if is_kind(column.dtype):
            return kind
    return "O"


def _parse_objects(name: str, values: Sequence[object], prefer: Decimal) -> ParsedColumn:
    """Parse a column of Python objects: texts, or the values that JSON and spreadsheets hold."""
    given = [value for value in values if not _is_null(value)]
    if given and all(isinstance(value, bool | np.bool_) for value in given):
        texts = [None if _is_null(value) else str(value).lower() for value in values]
        return _boolean(name, texts, ("false", "true"))
    if given and all(hasattr(value, "year") for value in given):
        return ParsedColumn(
            name, "date", pd.to_datetime(pd.Series(list(values), dtype=object)).to_numpy("datetime64[ns]")
        )
    return _parse_texts(name, [None if _is_null(value) else _as_text(value) for value in values], prefer)


def _as_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return format(value, "f") if isinstance(value, Exact) else str(value)


def _parse_texts(name: str, texts: Sequence[str | None], prefer: Decimal) -> ParsedColumn:
    stripped = [None if text is None or is_missing(text) else text.strip() for text in texts]
    lower = {text.lower() for text in stripped if text is not None}
    for labels in _BOOLEANS:
        if lower and lower <= set(labels) and len(lower) == 2:
            return _boolean(name, [None if t is None else t.lower() for t in stripped], labels)
    if (numbers := parse_numbers(stripped, prefer)) is not None:
        notes = []
        if numbers.decimal == ",":
            notes.append("decimal comma")
        if numbers.is_ambiguous:
            mark = "," if numbers.decimal == "." else "."
            notes.append(f"ambiguous: {mark} read as a thousands mark")
        if numbers.sign is not None:
            notes.append("in per cent" if numbers.sign == "%" else f"in {numbers.sign}")
        return ParsedColumn(name, "number", numbers.values, numbers.offset, notes=tuple(notes))
    if (dates := _parse_dates(stripped)) is not None:
        return dates_column(name, *dates)
    return ParsedColumn(name, "text", np.array(stripped, dtype=object))


def dates_column(name: str, values: NDArray[np.datetime64], written: str) -> ParsedColumn:
    """Return a column of dates that were written in the format `written`."""
    return ParsedColumn(name, "date", values, notes=(f"dates written {written}",))


def _parse_dates(texts: Sequence[str | None]) -> tuple[NDArray[np.datetime64], str] | None:
    """Return dates and their format if all texts are dates of one format."""
    given = [text for text in texts if text is not None]
    if not given or not all(map(_DATE.fullmatch, given)):
        return None
    series: pd.Series[str] = pd.Series(list(texts), dtype=object)
    for written in _DATE_FORMATS:
        parsed = pd.to_datetime(series, format=written, errors="coerce")
        if parsed.notna().sum() == len(given):
            return parsed.to_numpy("datetime64[ns]"), written
    return None


def _boolean(name: str, texts: Sequence[str | None], labels: tuple[str, str]) -> ParsedColumn:
    values = np.array([np.nan if text is None else float(text == labels[1]) for text in texts])
    return ParsedColumn(name, "boolean", values, labels=labels)


def _is_null(value: object) -> bool:
    return (
        value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
    )


def rename(column: ParsedColumn, name: str) -> ParsedColumn:
    """Return the column under another name."""
    return replace(column, name=name)
