"""The rows of `results.parquet` as arrays, and the alignment of two such files."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from regress.errors import InputError
from regress.metrics.results import results_schema
from regress.metrics.table import history_names

Floats = NDArray[np.float64]

KEYS = ["trial", "epoch", "replicate"]


@dataclass(frozen=True)
class Rows:
    """N rows of `results.parquet`: their keys and their numbers; null in the file is nan here."""

    keys: pd.DataFrame  # trial, epoch, replicate
    params: Floats  # (N, P), in the user's units
    digests: NDArray[np.object_]  # (N,), of the parameters' bits as trained
    metrics: dict[str, Floats]  # (N,) each
    diverged: NDArray[np.bool_]  # (N,)
    first_nonfinite_step: Floats  # (N,)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.keys)

    @property
    def columns(self) -> dict[str, Floats]:
        """The floating-point columns (N,) by name."""
        params = {f"params[{i}]": column for i, column in enumerate(self.params.T)}
        return {**params, **self.metrics}

    def errors(self, epoch: int) -> dict[str, Floats]:
        """Return the parameter errors (R,) of each trial after `epoch`, +inf for diverged models."""
        is_epoch = (self.keys.epoch == epoch).to_numpy()
        error = self.metrics["param_error"]
        error = np.where(self.diverged | np.isnan(error), np.inf, error)[is_epoch]
        indices = self.keys[is_epoch].groupby("trial").indices
        return {str(trial): error[trial_indices] for trial, trial_indices in indices.items()}


@dataclass(frozen=True)
class Pairs:
    """Indices of the M rows that two files share, and the keys that only one of them has."""

    recorded: NDArray[np.intp]  # (M,), by trial, epoch and replicate
    retrained: NDArray[np.intp]  # (M,), in the same order
    only_recorded: pd.DataFrame
    only_retrained: pd.DataFrame


def parse_rows(table: pa.Table, parameters: int) -> Rows:
    """Return a table with the columns of `results.parquet` as arrays.

    Raises
    ------
    InputError
        The columns or the number of parameters are others.
    """
    schema = results_schema()
    try:
        table = table.select(schema.names).cast(schema).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        reason = str(error).splitlines()[0].strip("'\" ")
        raise InputError(f"its columns are not those of a study's results: {reason}") from None
    lists = table["params"]
    if pc.list_value_length(lists).to_pylist() != [parameters] * len(table):
        raise InputError(f"its params are not lists of {parameters} numbers")
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    return Rows(
        keys=pd.DataFrame({name: table[name].to_pandas() for name in KEYS}),
        params=np.asarray(flat, np.float64).reshape(len(table), parameters),
        digests=table["params_digest"].to_numpy(zero_copy_only=False),
        metrics={name: table[name].to_numpy(zero_copy_only=False) for name in history_names()},
        diverged=table["diverged"].fill_null(True).to_numpy(zero_copy_only=False),
        first_nonfinite_step=table["first_nonfinite_step"]
        .cast(pa.float64(), safe=False)
        .to_numpy(zero_copy_only=False),
    )


def align(recorded: Rows, retrained: Rows) -> Pairs:
    """Pair the rows of the same trial, epoch and replicate; repeated keys pair by their position."""
    keys = [*KEYS, "copy"]
    joined = _indexed_keys(recorded).merge(
        _indexed_keys(retrained), on=keys, how="outer", suffixes=("", "_retrained")
    )
    joined = joined.sort_values(keys)
    paired = joined.dropna()
    return Pairs(
        recorded=paired["index"].to_numpy(np.intp),
        retrained=paired["index_retrained"].to_numpy(np.intp),
        only_recorded=joined.loc[joined["index_retrained"].isna(), KEYS],
        only_retrained=joined.loc[joined["index"].isna(), KEYS],
    )


def _indexed_keys(rows: Rows) -> pd.DataFrame:
    """Return the keys with each row's index and a count of earlier rows with the same key."""
    copy = rows.keys.groupby(KEYS, sort=False).cumcount()
    return rows.keys.assign(copy=copy, index=np.arange(len(rows)))
