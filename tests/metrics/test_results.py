"""results.parquet has a row per model and epoch, and the same bytes in each execution of a study."""

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from regress.metrics.results import results_schema
from regress.problems import Table
from regress.study import Study
from tests.helpers import execute, results

SMALL: dict[str, Any] = {
    "name": "small",
    "problem": "linear(rows=40, val=20)",
    "contaminations": ["clean", "vertical(fraction=0.1, shift=10.0)"],
    "losses": ["l2", "huber"],
    "lrs": [0.03, 0.3, 9.0],
    "sigmas": [0.0, 0.01],
    "orders": ["shuffled", "easy-to-hard"],
    "batch_sizes": [6],
    "epochs": 3,
    "replicates": 2,
}
TABLE = SMALL | {"problem": "table(dataset=stackloss)"}
PLANCK = SMALL | {
    "problem": "planck(form=scaled)",
    "sigmas": [3000.0, 8000.0],
    "batch_sizes": [200],
    "epochs": 2,
}


def study(fields: dict[str, Any] = SMALL, **more: Any) -> Study:
    return Study(**{**fields, **more})


@cache
def table(executed: Study) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(results(execute(executed))))


def are_equal(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Return whether two tables have the same bits; nan equals nan."""

    def comparable(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(params=[value.tobytes() for value in frame.params]).reset_index(drop=True)

    return comparable(left).equals(comparable(right))


def rows_of_study(frame: pd.DataFrame, part: Study) -> pd.DataFrame:
    """Return the rows of the trials that belong to another study, too."""
    return frame[frame.trial.isin([trial.digest for trial in part.trials])]


def test_the_schema_is_as_documented() -> None:
    read = pq.read_schema(io.BytesIO(results(execute(study()))))
    assert read.remove_metadata() == results_schema().remove_metadata()
    # The columns documented in docs/studies.md.
    assert read.names == [
        "trial",
        "epoch",
        "replicate",
        "params",
        "params_digest",
        "train_loss",
        "val_loss",
        "param_error",
        "diverged",
        "first_nonfinite_step",
    ]


def test_rows_are_sorted_by_trial_epoch_and_replicate() -> None:
    small = study()
    keys = [
        (trial.digest, epoch, replicate)
        for trial in small.trials
        for epoch in range(1, 4)
        for replicate in range(2)
    ]
    read = table(small)
    assert list(zip(read.trial, read.epoch, read.replicate, strict=True)) == sorted(keys)
    assert all(len(params) == 3 for params in read.params)


@pytest.mark.parametrize("fields", [SMALL, TABLE, PLANCK], ids=["linear", "table", "planck"])
def test_two_executions_write_equal_files(fields: dict[str, Any]) -> None:
    assert results(execute(study(fields))) == results(execute(study(fields)))


@pytest.mark.parametrize("fields", [SMALL, TABLE, PLANCK], ids=["linear", "table", "planck"])
def test_concurrent_executions_write_equal_files(fields: dict[str, Any]) -> None:
    alone = results(execute(study(fields)))
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(results, pool.map(execute, [study(fields)] * 2))) == {alone}


def test_another_process_writes_an_equal_file(tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    code = """
import pathlib, sys
from tests.helpers import execute, results
from tests.metrics.test_results import TABLE, study
pathlib.Path(sys.argv[1]).write_bytes(results(execute(study(TABLE))))
"""
    environment = os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(file)], cwd=root, env=environment, check=True)
    assert file.read_bytes() == results(execute(study(TABLE)))


def test_the_order_of_shards_and_lists_does_not_change_the_file() -> None:
    fields = SMALL | {field: SMALL[field][::-1] for field in SMALL if isinstance(SMALL[field], list)}
    reversed_shards = execute(study(fields))[::-1]
    assert results(reversed_shards) == results(execute(study()))


WIDER: list[dict[str, Any]] = [
    {"lrs": [1e-3, 0.03, 0.1, 0.3, 9.0]},
    {"losses": ["l1", "l2", "smooth-l1", "huber"]},
    {"orders": ["signed", "shuffled", "easy-to-hard"]},
    {"contaminations": ["single", "clean", "vertical(fraction=0.1, shift=10.0)"]},
]
CASES = [
    *(
        (PLANCK, more)
        for more in [*WIDER, {"sigmas": [4000.0, 3000.0, 8000.0]}, {"batch_sizes": [125, 200]}]
    ),
    *((SMALL, more) for more in [*WIDER, {"sigmas": [0.01, 5.0, 0.0]}, {"batch_sizes": [1, 6, 40]}]),
    *((TABLE, more) for more in [*WIDER, {"sigmas": [0.01, 5.0, 0.0]}, {"batch_sizes": [1, 6, 16]}]),
]


@pytest.mark.parametrize(("fields", "more"), CASES)
def test_a_wider_grid_does_not_change_other_trials(fields: dict[str, Any], more: dict[str, Any]) -> None:
    narrow, wide = study(fields), study(fields, **more)
    assert len(wide.trials) > len(narrow.trials)
    assert are_equal(rows_of_study(table(wide), narrow), table(narrow))


def test_an_additional_learning_rate_does_not_change_other_trials() -> None:
    fields = {"name": "default", "problem": "linear(rows=100, val=50)", "epochs": 2, "replicates": 2}
    fields |= {"contaminations": ["clean", "single", "vertical(fraction=0.1, shift=10)"]}
    fields |= {
        "losses": ["l2", "l1", "huber"],
        "lrs": [0.003, 0.03, 0.3, 3.0],
        "sigmas": [0.0, 0.01, 1000.0],
    }
    fields |= {"orders": ["shuffled", "easy-to-hard", "signed"]}
    narrow = study(fields)
    wide = study(fields, lrs=[0.003, 0.01, 0.03, 0.3, 3.0])
    assert are_equal(rows_of_study(table(wide), narrow), table(narrow))


@pytest.mark.parametrize("fields", [SMALL, TABLE, PLANCK], ids=["linear", "table", "planck"])
def test_additional_replicates_do_not_change_earlier_replicates(fields: dict[str, Any]) -> None:
    fewer, more = table(study(fields)), table(study(fields, replicates=3))
    first = more[more.replicate < 2]
    trials = dict(
        zip(
            [trial.digest for trial in study(fields).trials],
            [trial.digest for trial in study(fields, replicates=3).trials],
            strict=True,
        )
    )
    renamed = fewer.assign(trial=fewer.trial.map(trials)).sort_values(["trial", "epoch", "replicate"])
    assert are_equal(renamed, first)


@pytest.mark.parametrize("fields", [SMALL, TABLE], ids=["linear", "table"])
def test_additional_epochs_do_not_change_earlier_epochs(fields: dict[str, Any]) -> None:
    fewer, more = study(fields, orders=["shuffled"]), study(fields, orders=["shuffled"], epochs=5)
    trials = {trial.digest: longer.digest for trial, longer in zip(fewer.trials, more.trials, strict=True)}
    short, long = table(fewer), table(more)
    renamed = short.assign(trial=short.trial.map(trials)).sort_values(["trial", "epoch", "replicate"])
    assert are_equal(renamed, long[long.epoch <= 3])


def test_first_nonfinite_step_is_null_before_that_step() -> None:
    steps_per_epoch = 10
    read = table(
        study(lrs=[0.03, 50.0], losses=["l2"], batch_sizes=[4], epochs=8, sigmas=[1.0], orders=["shuffled"])
    )
    nonfinite = read[read.first_nonfinite_step.notna()]
    assert 0 < len(nonfinite) < len(read)
    for _, model in read.groupby(["trial", "replicate"]):
        finite = model.params.map(lambda params: bool(np.isfinite(params).all())).to_numpy()
        step = model.first_nonfinite_step.to_numpy(float)
        np.testing.assert_array_equal(np.isnan(step), finite)
        if not finite.all():
            (first,) = set(step[~finite])
            assert -(-first // steps_per_epoch) == model.epoch.to_numpy()[~finite][0]
            assert model.diverged.to_numpy()[~finite].all()


@pytest.mark.parametrize("order", ["shuffled", "easy-to-hard", "signed"])
@pytest.mark.parametrize("contamination", ["clean", "single(row=3)"])
def test_single_is_finite_for_a_target_of_zero(order: str, contamination: str) -> None:
    # single multiplies x by value / y.
    fields = {"problem": "linear(w=[0.0], b=0.0, noise=0.0, rows=8, val=4)", "batch_sizes": [2]}
    fields |= {"lrs": [0.03], "losses": ["l2"]}
    read = table(study(SMALL | fields, orders=[order], contaminations=[contamination]))
    assert np.isfinite(read.param_error).all()
    assert (read.param_error > 1).all() == (contamination != "clean")


def test_params_are_in_the_user_s_units() -> None:
    standardized = study(TABLE, lrs=[0.03], losses=["l2"], contaminations=["clean"])
    problem, data = (
        standardized.problem,
        standardized.problem.draw(standardized.seed, standardized.replicates),
    )
    assert isinstance(problem, Table)
    columns, read = problem.columns, table(standardized)
    for row in read.itertuples():
        x = data.train_x[row.replicate] * columns.x.std(axis=0) + columns.x.mean(axis=0)
        y = data.train_y[row.replicate] * columns.y.std() + columns.y.mean()
        residual = (x @ row.params[:-1] + row.params[-1] - y) / columns.y.std()
        assert row.train_loss == pytest.approx((residual**2).mean() / 2)
    assert read.params_digest.str.fullmatch("[0-9a-f]{16}").all()


def test_digests_are_equal_if_and_only_if_parameters_are() -> None:
    read = table(study())
    bits = read.params.map(lambda params: params.tobytes())
    pairs = set(zip(read.params_digest, bits, strict=True))
    assert len(pairs) == read.params_digest.nunique() == bits.nunique()
