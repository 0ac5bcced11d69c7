"""Summaries of trials over their replicates."""

import numpy as np
import pytest

from regress.numerics.quantiles import nearest_rank
from regress.study import Study
from tests.helpers import execute


def small(**fields: object) -> Study:
    return Study(
        **{
            "name": "small",
            "problem": "linear(rows=40, val=20)",
            "losses": ["l2", "l1"],
            "lrs": [0.03, 3.0, 50.0],
            "epochs": 3,
            "batch_sizes": [1],
            "replicates": 5,
            **fields,
        }
    )


def test_quantiles_are_nearest_ranks_over_replicates() -> None:
    (shard,) = execute(small())
    rows = shard.table.to_pandas()
    for summary in shard.summaries:
        trial_rows = rows[rows.trial == summary.trial.digest]
        assert set(summary.histories) == {"train_loss", "val_loss", "param_error"}
        for name, quantiles in summary.histories.items():
            by_epoch = trial_rows.pivot(index="epoch", columns="replicate", values=name).to_numpy()
            for quantile, q in zip(quantiles, (0.5, 0.05, 0.95), strict=True):
                np.testing.assert_array_equal(quantile, nearest_rank(by_epoch, q))


def test_final_metrics_are_infinite_for_diverged_replicates() -> None:
    (shard,) = execute(small(dtype="float64"))
    rows = shard.table.to_pandas()
    assert np.isfinite(rows.param_error[rows.diverged]).any()
    fractions = set()
    for summary in shard.summaries:
        fractions.add(summary.diverged_fraction)
        assert np.isinf(summary.final_error[summary.diverged]).all()
        assert np.isinf(summary.ranking[summary.diverged]).all()
        for quantiles in summary.finals.values():
            if summary.diverged_fraction > 0.5:
                assert quantiles.median == quantiles.q95 == np.inf
            if summary.diverged.any():
                assert quantiles.q95 == np.inf
    assert {0.0, 1.0} <= fractions


def test_nonfinite_metrics_are_omitted() -> None:
    (shard,) = execute(small())
    for summary in shard.summaries:
        metrics = summary.metrics
        assert all(np.isfinite(value) for value in metrics.values())
        assert metrics["diverged_fraction"] == summary.diverged_fraction
        assert ("final_param_error" in metrics) == (summary.diverged_fraction < 0.5)
        assert ("first_nonfinite_step" in metrics) == np.isfinite(summary.of_trial["first_nonfinite_step"])
        assert ("coef_w1" in metrics) == (not summary.diverged.all())


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        ("linear(rows=40, val=20)", ["w1", "w2", "b"]),
        ("ohm(rows=40, val=20)", ["R", "b"]),
        ("table(dataset=stackloss)", ["AIRFLOW", "WATERTEMP", "ACIDCONC", "intercept"]),
    ],
)
def test_coefficients_are_medians_in_the_user_s_units(problem: str, names: list[str]) -> None:
    study = small(problem=problem, lrs=[0.03], batch_sizes=[4])
    (shard,) = execute(study)
    rows = shard.table.to_pandas()
    for summary in shard.summaries:
        final = rows[(rows.trial == summary.trial.digest) & (rows.epoch == 3)]
        median = np.median(np.stack(final.params), axis=0)
        assert list(summary.coefficients) == names
        np.testing.assert_array_equal(list(summary.coefficients.values()), median)


def test_tables_are_ranked_by_the_median_validation_residual() -> None:
    (shard,) = execute(small(problem="table(dataset=stackloss)", lrs=[0.03], batch_sizes=[4]))
    for summary in shard.summaries:
        assert nearest_rank(summary.ranking, 0.5) == summary.metrics["val_median_abs_residual"]
        assert nearest_rank(summary.final_error, 0.5) == summary.metrics["final_param_error"]
    (shard,) = execute(small(lrs=[0.03]))
    for summary in shard.summaries:
        assert "val_median_abs_residual" not in summary.metrics
        np.testing.assert_array_equal(summary.ranking, summary.final_error)
