"""`results.parquet` as arrays, and which rows of two such files are of the same lane at the same epoch."""

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
    """N rows: whose they are, and their numbers; what is null in the file is nan."""

    keys: pd.DataFrame  # trial, epoch, replicate
    params: Floats  # (N, P), in the user's units
    digests: NDArray[np.object_]  # (N,), of the parameters' bits as trained
    metrics: dict[str, Floats]  # (N,) each
    diverged: NDArray[np.bool_]  # (N,)
    first_nonfinite_step: Floats  # (N,)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def columns(self) -> dict[str, Floats]:
        """All that is a floating-point number, by name."""
        params = {f"params[{i}]": column for i, column in enumerate(self.params.T)}
        return {**params, **self.metrics}

    def errors(self, epoch: int) -> dict[str, Floats]:
        """The parameter error (R,) of each trial after `epoch`, +inf where a lane had diverged."""
        here = (self.keys.epoch == epoch).to_numpy()
        error = self.metrics["param_error"]
        shown = np.where(self.diverged | np.isnan(error), np.inf, error)
        places = self.keys[here].groupby("trial").indices
        return {str(trial): shown[here][own] for trial, own in places.items()}


@dataclass(frozen=True)
class Pairs:
    """Rows of two files: those of the same lane and epoch, M, and the keys that only one of them has."""

    recorded: NDArray[np.intp]  # (M,) places in the one file, by trial, epoch and replicate
    again: NDArray[np.intp]  # (M,) in the other
    only_recorded: pd.DataFrame
    only_again: pd.DataFrame

    @property
    def is_complete(self) -> bool:
        return not len(self.only_recorded) and not len(self.only_again)


def rows(table: pa.Table, parameters: int) -> Rows:
    """A table with the columns of results.parquet as arrays; raises InputError where it has others."""
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


def align(recorded: Rows, again: Rows) -> Pairs:
    """The rows of the same trial, epoch and replicate; of a row that is there twice the second is alone."""
    placed = [_placed(one) for one in (recorded, again)]
    keys = [*KEYS, "copy"]
    joined = placed[0].merge(placed[1], on=keys, how="outer", suffixes=("", "_again")).sort_values(keys)
    both = joined.dropna()
    return Pairs(
        recorded=both["place"].to_numpy(np.intp),
        again=both["place_again"].to_numpy(np.intp),
        only_recorded=joined.loc[joined["place_again"].isna(), KEYS],
        only_again=joined.loc[joined["place"].isna(), KEYS],
    )


def _placed(rows: Rows) -> pd.DataFrame:
    copy = rows.keys.groupby(KEYS, sort=False).cumcount()
    return rows.keys.assign(copy=copy, place=np.arange(len(rows)))
