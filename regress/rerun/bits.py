"""Bitwise comparison of results.parquet with its retrained counterpart, and distances in ULPs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regress.rerun.rows import KEYS, Pairs, Rows
from regress.study import Dtype

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FirstDifference:
    """The first row that differs, by trial, epoch and replicate.

    `ulps` is the largest distance of its numbers, None where it cannot be counted.
    """

    trial: str
    epoch: int
    replicate: int
    ulps: int | None


@dataclass(frozen=True)
class Differences:
    """The rows that differ between two result files.

    Attributes
    ----------
    table
        One line for each row that differs: trial, epoch, replicate, `columns`, `ulps`, `relative`.
        `columns` names the columns that differ, or the only file that has the row. `ulps` is the largest
        distance of the row's numbers, infinite where one of them is nan or the row is missing. `relative`
        is the largest |recorded - retrained| / max(|recorded|, |retrained|).
    compared
        The number of rows compared: each pair once, and the rows that only one file has.
    """

    table: pd.DataFrame
    compared: int

    @property
    def count(self) -> int:
        """The number of rows that differ."""
        return len(self.table)

    @property
    def first(self) -> FirstDifference | None:
        """The first row that differs."""
        if not self.count:
            return None
        row = self.table.iloc[0]
        return FirstDifference(
            str(row.trial), int(row.epoch), int(row.replicate), _finite_int(float(row.ulps))
        )

    @property
    def max_ulps(self) -> int | None:
        """The largest distance in ULPs; None where it cannot be counted."""
        return _finite_int(float(self.table.ulps.max())) if self.count else 0

    @property
    def trial_count(self) -> int:
        """The number of trials with a row that differs."""
        return int(self.table.trial.nunique())


def compare_bits(recorded: Rows, retrained: Rows, pairs: Pairs, dtype: Dtype) -> Differences:
    """Return the rows that differ in any bit; all nan count as equal.

    Distances are in ULPs of float64, the type of all columns. If both values of a parameter are exact
    numbers of the training `dtype`, their distance is in ULPs of that type. (A table's parameters are
    recorded in the user's units, hence they seldom are.)
    """
    length = len(pairs.recorded)
    columns = np.full(length, "", object)
    max_ulps, max_relative = np.zeros(length), np.zeros(length)
    for name, recorded_column in recorded.columns.items() if length else ():
        a, b = recorded_column[pairs.recorded], retrained.columns[name][pairs.retrained]
        differ = (a.view(np.uint64) != b.view(np.uint64)) & ~(np.isnan(a) & np.isnan(b))
        columns[differ] += f" {name}"
        a, b = a[differ], b[differ]
        distance = _param_ulps(a, b, dtype) if name.startswith("params") else count_ulps(a, b)
        max_ulps[differ] = np.maximum(max_ulps[differ], distance)
        max_relative[differ] = np.maximum(max_relative[differ], _relative_difference(a, b))
    for attribute in ("digests", "diverged", "first_nonfinite_step"):
        left = getattr(recorded, attribute)[pairs.recorded]
        right = getattr(retrained, attribute)[pairs.retrained]
        differ = (left != right) & ~(pd.isna(left) & pd.isna(right))
        columns[differ] += f" {'params_digest' if attribute == 'digests' else attribute}"
    paired = recorded.keys.iloc[pairs.recorded].assign(
        columns=columns, ulps=max_ulps, relative=max_relative
    )
    unpaired = [
        keys.assign(columns=f"only {file}", ulps=np.inf, relative=np.inf)
        for file, keys in (("recorded", pairs.only_recorded), ("retrained", pairs.only_retrained))
    ]
    table = pd.concat([paired[columns != ""], *(keys for keys in unpaired if len(keys))])
    table["columns"] = table["columns"].str.strip()
    return Differences(
        table.sort_values(KEYS, ignore_index=True).astype({"epoch": "int32", "replicate": "int32"}),
        length + len(pairs.only_recorded) + len(pairs.only_retrained),
    )


def count_ulps(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """Return how many representable numbers lie between a (...) and b (...), b included.

    Both have one floating-point type. The distance is 0 between the two zeros and between two nan, and
    infinite where only one is nan. Infinity follows the largest finite number. Exact up to 2**53.
    """
    distance = np.maximum(_ordinal(a), _ordinal(b)) - np.minimum(_ordinal(a), _ordinal(b))
    nan_count = np.isnan(a).astype(int) + np.isnan(b)
    return np.select([nan_count == 2, nan_count == 1], [0.0, np.inf], distance.astype(np.float64))


def _ordinal(x: NDArray[np.floating]) -> NDArray[Any]:
    """Return each number's position among all of its type; both zeros have the same."""
    width = 8 * x.dtype.itemsize
    bits = np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}")
    sign_bit = bits.dtype.type(1 << (width - 1))
    magnitude = bits & bits.dtype.type((1 << (width - 1)) - 1)
    return np.asarray(np.where(bits & sign_bit, sign_bit - magnitude, sign_bit + magnitude))


def _param_ulps(a: Floats, b: Floats, dtype: Dtype) -> Floats:
    with np.errstate(over="ignore"):
        rounded_a, rounded_b = a.astype(dtype), b.astype(dtype)
    are_exact = _is_exact(rounded_a, a) & _is_exact(rounded_b, b)
    return np.where(are_exact, count_ulps(rounded_a, rounded_b), count_ulps(a, b))


def _is_exact(rounded: NDArray[np.floating], x: Floats) -> NDArray[np.bool_]:
    return np.asarray((rounded.astype(np.float64) == x) | np.isnan(x))


def _relative_difference(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    ratio[(a == b)] = 0.0  # the two zeros
    return np.where(np.isnan(ratio), np.inf, ratio)


def _finite_int(distance: float) -> int | None:
    return int(distance) if np.isfinite(distance) else None
