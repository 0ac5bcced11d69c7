"""The bits: every row of results.parquet again, and how far apart numbers are that differ."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regress.rerun.rows import KEYS, Pairs, Rows
from regress.study import Dtype

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class First:
    """The first row that differs, by trial, epoch and replicate."""

    trial: str
    epoch: int
    replicate: int
    ulps: int | None  # the largest of its numbers; None where there is no counting them


@dataclass(frozen=True)
class Differences:
    """Rows that differ, one line each: trial, epoch, replicate, `columns`, `ulps`, `relative`.

    `columns` names what differs, or which of the two files alone has the row. `ulps` is the largest
    distance of its numbers, infinite where one is nan or the row is missing; `relative` the largest of
    |recorded - retrained| / max(|recorded|, |retrained|).
    """

    table: pd.DataFrame
    compared: int  # rows of the two files, pairs once

    @property
    def count(self) -> int:
        return len(self.table)

    @property
    def first(self) -> First | None:
        if not self.count:
            return None
        row = self.table.iloc[0]
        return First(str(row.trial), int(row.epoch), int(row.replicate), _whole(float(row.ulps)))

    @property
    def most(self) -> int | None:
        """The largest distance in ULPs; None where there is no counting it."""
        return _whole(float(self.table.ulps.max())) if self.count else 0

    @property
    def trials(self) -> int:
        """How many trials have a row that differs."""
        return int(self.table.trial.nunique())


def differences(recorded: Rows, again: Rows, pairs: Pairs, dtype: Dtype) -> Differences:
    """Where two files differ in a bit; one nan is as good as another.

    Distances are in ULPs of float64, in which all columns are stored; those of two parameters that are both
    numbers of the training `dtype` are in its ULPs. (A table's parameters are in the units of the user, and
    hence seldom are.)
    """
    length = len(pairs.recorded)
    names = np.full(length, "", object)
    most, relative = np.zeros(length), np.zeros(length)
    for name, one in recorded.columns.items() if length else ():
        a, b = one[pairs.recorded], again.columns[name][pairs.again]
        differ = (a.view(np.uint64) != b.view(np.uint64)) & ~(np.isnan(a) & np.isnan(b))
        names[differ] += f" {name}"
        a, b = a[differ], b[differ]
        far = _param_ulps(a, b, dtype) if name.startswith("params") else ulps(a, b)
        most[differ] = np.maximum(most[differ], far)
        relative[differ] = np.maximum(relative[differ], _relative(a, b))
    for name in ("digests", "diverged", "first_nonfinite_step"):
        left, right = getattr(recorded, name)[pairs.recorded], getattr(again, name)[pairs.again]
        differ = (left != right) & ~(pd.isna(left) & pd.isna(right))
        names[differ] += f" {'params_digest' if name == 'digests' else name}"
    found = recorded.keys.iloc[pairs.recorded].assign(columns=names, ulps=most, relative=relative)
    alone = [
        keys.assign(columns=f"only {where}", ulps=np.inf, relative=np.inf)
        for where, keys in (("recorded", pairs.only_recorded), ("retrained", pairs.only_again))
    ]
    table = pd.concat([found[names != ""], *(keys for keys in alone if len(keys))])
    table["columns"] = table["columns"].str.strip()
    return Differences(
        table.sort_values(KEYS, ignore_index=True).astype({"epoch": "int32", "replicate": "int32"}),
        length + len(pairs.only_recorded) + len(pairs.only_again),
    )


def ulps(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """How many steps to the next number it is from a (...) to b (...), both of one floating-point type.

    0 between the two zeros, and between two nan; infinite where only one is nan. Infinity is the number
    after the largest. Exact up to 2**53.
    """
    near = np.maximum(_place(a), _place(b)) - np.minimum(_place(a), _place(b))
    gone = np.isnan(a).astype(int) + np.isnan(b)
    return np.select([gone == 2, gone == 1], [0.0, np.inf], near.astype(np.float64))


def _place(x: NDArray[np.floating]) -> NDArray[Any]:
    """The place of a number among all of its type, both zeros being in the middle."""
    width = 8 * x.dtype.itemsize
    bits = np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}")
    middle = bits.dtype.type(1 << (width - 1))
    magnitude = bits & bits.dtype.type((1 << (width - 1)) - 1)
    return np.asarray(np.where(bits & middle, middle - magnitude, middle + magnitude))


def _param_ulps(a: Floats, b: Floats, dtype: Dtype) -> Floats:
    with np.errstate(over="ignore"):
        short_a, short_b = a.astype(dtype), b.astype(dtype)
    are_short = _is_same(short_a, a) & _is_same(short_b, b)
    return np.where(are_short, ulps(short_a, short_b), ulps(a, b))


def _is_same(short: NDArray[np.floating], x: Floats) -> NDArray[np.bool_]:
    return np.asarray((short.astype(np.float64) == x) | np.isnan(x))


def _relative(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    ratio[(a == b)] = 0.0  # the two zeros
    return np.where(np.isnan(ratio), np.inf, ratio)


def _whole(distance: float) -> int | None:
    return int(distance) if np.isfinite(distance) else None
