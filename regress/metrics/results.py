"""The file `results.parquet`: all epochs of all models of an execution, without ids and times.

Two executions of one study give equal bytes with the same libraries.
"""

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from regress.metrics.evaluate import ShardMetrics
from regress.metrics.table import history_names
from regress.problems import Problem
from regress.study import Trial


def results_schema() -> pa.Schema:
    """Return the columns of results.parquet: keys, parameters, the metrics by epoch, divergence."""
    return pa.schema(
        [
            ("trial", pa.string()),  # digest
            ("epoch", pa.int32()),  # from 1
            ("replicate", pa.int32()),
            ("params", pa.list_(pa.float64())),  # in the user's units, the intercept last
            ("params_digest", pa.string()),  # of the bits as trained
            *((name, pa.float64()) for name in history_names()),
            ("diverged", pa.bool_()),  # by this epoch
            ("first_nonfinite_step", pa.int64()),  # null before that step
        ]
    )


def shard_table(problem: Problem, trials: tuple[Trial, ...], metrics: ShardMetrics) -> pa.Table:
    """Return the rows of one shard, sorted by trial, epoch and replicate."""
    epochs, count, replicates, size = metrics.params.shape
    by_trial = np.argsort([trial.digest for trial in trials])
    digests = np.array([trial.digest for trial in trials])[by_trial]

    def column(values: np.ndarray) -> np.ndarray:
        """Return values (E, L, R, ...) as rows in the order (L, E, R)."""
        ordered = np.swapaxes(values, 0, 1)[by_trial]
        return np.ascontiguousarray(ordered).reshape(-1, *values.shape[3:])

    shape = (epochs, count, replicates)
    epoch = np.broadcast_to(np.arange(1, epochs + 1, dtype=np.int32)[:, None, None], shape)
    step = np.broadcast_to(metrics.first_nonfinite_step, shape)
    is_nonfinite = (step > 0) & (step <= epoch * metrics.steps_per_epoch)
    params = column(problem.in_user_units(metrics.params))
    params[np.isnan(params)] = np.nan  # one bit pattern: the sign of nan depends on the processor
    offsets = np.arange(0, params.size + 1, size, dtype=np.int32)
    columns = [
        pa.array(np.repeat(digests, epochs * replicates)),
        pa.array(column(epoch)),
        pa.array(column(np.broadcast_to(np.arange(replicates, dtype=np.int32), shape))),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(params.ravel())),
        pa.array(column(metrics.digests)),
        *(pa.array(column(metrics.histories[name])) for name in history_names()),
        pa.array(column(metrics.diverged)),
        pa.array(column(step), mask=~column(is_nonfinite)),
    ]
    return pa.table(columns, schema=results_schema())


def sort_results(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all shards by trial, epoch and replicate."""
    table = pa.concat_tables(tables)
    keys = [("trial", "ascending"), ("epoch", "ascending"), ("replicate", "ascending")]
    return table.take(pc.sort_indices(table, keys))


def write_parquet(tables: Sequence[pa.Table]) -> bytes:
    """Return the rows of all shards as one sorted Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(sort_results(tables), buffer, compression="zstd")
    return buffer.getvalue()
