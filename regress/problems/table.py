"""The user's table: numeric columns, one of them the target."""

import math
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress.errors import InputError, suggest
from regress.numerics import streams
from regress.problems.affine import Affine
from regress.problems.columns import Columns
from regress.problems.data import Data
from regress.problems.problem import Problem, Ranking
from regress.values.text import STRICT

Floats = NDArray[np.float64]
Dataset = Literal["stackloss", "engel"]


@dataclass(frozen=True, config=STRICT)
class Table(Problem):
    """A CSV or Parquet file with a target column, or a data set that ships inside statsmodels.

    For training all columns including the target are scaled to mean 0 and standard deviation 1 over the
    whole table. Numbers in a study (delta, shift, tolerance) are therefore in standard deviations, whereas
    coefficients are reported in the units of the table. `holdout` is the fraction of rows kept for
    validation, drawn anew for each replicate.
    """

    name = "table"
    registers_model = True
    path: str | None = None
    dataset: Dataset | None = None
    target: str | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2

    def __post_init__(self) -> None:
        if (self.path is None) == (self.dataset is None):
            raise InputError("needs either a path or a dataset")
        if self.path is not None and self.target is None:
            raise InputError("needs the argument 'target', the column to predict")

    @property
    def columns(self) -> Columns:
        """The content of the table, read once for each state of the file."""
        if self.dataset is not None:
            return _read_dataset(self.dataset, self.target)
        try:
            file = Path(str(self.path)).expanduser()
            state = file.stat()
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"problem: cannot read the table {self.path}: {reason}") from None
        return _read_file(file, str(self.target), state.st_mtime_ns, state.st_size)

    @property
    def source(self) -> str:
        return str(self.path or self.dataset)

    @property
    def source_file(self) -> Path | None:
        return None if self.path is None else Path(self.path).expanduser()

    @property
    def published_name(self) -> str | None:
        if self.dataset is None:
            return None
        published = _read_dataset(self.dataset, None)
        return self.dataset if self.columns.target == published.target else None

    @property
    def held_out_rows(self) -> int:
        """Validation rows of one replicate, computed in decimal: .07 of 100 is 7."""
        return math.ceil(Decimal(repr(self.holdout)) * len(self.columns.y))

    @property
    def train_rows(self) -> int:
        return len(self.columns.y) - self.held_out_rows

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return (*self.columns.features, "intercept")

    @property
    def model(self) -> Affine:
        return Affine(len(self.columns.features))

    @property
    def knows_truth(self) -> bool:
        return False

    @property
    def ranking(self) -> Ranking:
        return "val_median_abs_residual"

    @property
    def identity(self) -> str:
        return f"table(content={self.columns.digest}, holdout={self.holdout!r})"

    @property
    def target_scale(self) -> float:
        return float(self.columns.y.std())

    def draw(self, seed: int, replicates: int, first: int = 0) -> Data:
        table = self.columns
        x = (table.x - table.x.mean(axis=0)) / table.x.std(axis=0)
        y = (table.y - table.y.mean()) / table.y.std()
        order = np.stack(
            [streams.permutation(len(y), seed, "holdout", r) for r in range(first, first + replicates)]
        )
        held_out = np.sort(order[:, : self.held_out_rows], axis=1)
        kept = np.sort(order[:, self.held_out_rows :], axis=1)
        return Data(
            train_x=x[kept],
            train_y=y[kept],
            val_x=x[held_out],
            val_y=y[held_out],
            truth=None,
            contaminated=np.zeros(kept.shape, bool),
            first=first,
        )

    def in_user_units(self, params: Floats) -> Floats:
        table = self.columns
        with np.errstate(over="ignore", invalid="ignore"):  # a model may have become non-finite
            slopes = params[..., :-1] * table.y.std() / table.x.std(axis=0)
            level = params[..., -1:] * table.y.std() + table.y.mean()
            intercept = level - (slopes * table.x.mean(axis=0)).sum(axis=-1, keepdims=True)
        return np.concatenate([slopes, intercept], axis=-1)


@lru_cache(maxsize=8)
def _read_dataset(dataset: Dataset, target: str | None) -> Columns:
    import statsmodels.datasets

    loaded = getattr(statsmodels.datasets, dataset).load_pandas()
    return check_columns(loaded.data, target or loaded.endog.name, dataset)


@lru_cache(maxsize=8)
def _read_file(file: Path, target: str, _modified: int, _size: int) -> Columns:
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": pd.read_parquet}
    if file.suffix not in readers:
        raise InputError(f"problem: the table {file} ends in {file.suffix!r}, expected .csv or .parquet")
    try:
        frame = readers[file.suffix](file)
    except Exception as error:  # each reader raises errors of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"problem: cannot read the table {file}: {reason}") from None
    return check_columns(frame, target, str(file))


def _read_csv(file: Path) -> pd.DataFrame:
    """Read the rows as texts; pandas would rename equal column names and shift rows that are too long."""
    lines = pd.read_csv(file, header=None, dtype=str, keep_default_na=False, skipinitialspace=True)
    names = lines.iloc[0].tolist()
    if "" in names:
        raise ValueError(f"column {names.index('') + 1} has no name")
    return lines.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)


def check_columns(frame: pd.DataFrame, target: str, source: str) -> Columns:
    """Return the numeric columns of `frame`.

    Raises
    ------
    InputError
        A column is missing, constant or not numeric, or there are too few rows.
    """
    frame = frame.rename(columns=str)
    names = list(frame.columns)
    if target not in names:
        raise InputError(f"problem: {source} has no target column {target!r}; {suggest(target, names)}")
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise InputError(f"problem: {source} has two columns named {duplicate!r}")
    if len(names) < 2:
        raise InputError(f"problem: {source} has no column other than the target {target!r}")
    if len(frame) < 5:
        raise InputError(f"problem: {source} has {len(frame)} rows, expected at least 5")
    columns = {name: _numbers(frame[name], source) for name in names}
    features = tuple(name for name in names if name != target)
    return Columns(features, target, np.stack([columns[f] for f in features], 1), columns[target])


def _numbers(column: "pd.Series[float]", source: str) -> Floats:
    if column.dtype.kind in "mM":  # pandas would take a date or a duration for nanoseconds
        column = column.astype(str)  # type: ignore[assignment]
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if (bad := ~np.isfinite(values)).any():
        row = int(bad.argmax())
        value = column.iloc[row]
        text = "nothing" if str(value).strip().lower() in ("", "nan", "none") else repr(value)
        raise InputError(
            f"problem: {source} has {text} in row {row + 1}, column {column.name!r}, expected a number"
        )
    if values.min() == values.max():
        raise InputError(
            f"problem: {source} has the constant column {column.name!r}; the intercept is added anyway"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        spread = values.std()
    if not (np.isfinite(spread) and spread > 0):
        raise InputError(
            f"problem: {source} has numbers in column {column.name!r} whose standard deviation is"
            f" {spread:g}, expected one that float64 can hold"
        )
    return values
