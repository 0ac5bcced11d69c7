"""The winner on all rows: which trial it is, what it is fitted to, and in whose units."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regress.comparison import compare
from regress.metrics.summary import TrialSummary
from regress.numerics.quantiles import nearest_rank
from regress.pipeline.refit import refit, winner
from regress.pipeline.steps import train_shard
from regress.study import Study, Trial
from regress.study.shards import Shard
from tests.helpers import execute


def study(**fields: Any) -> Study:
    return Study(**{"name": "some", "epochs": 3, "replicates": 3, "batch_sizes": [16], **fields})


def trial(**fields: Any) -> Trial:
    every = {"contamination": "clean", "loss": "l2", "lr": 0.1, "sigma": 0.01, "order": "shuffled"}
    return Trial.model_validate({**every, "batch_size": 8, "replicates": 3, **fields})


def summaries(made: Study) -> list[TrialSummary]:
    return [summary for done in execute(made) for summary in done.summaries]


def winner_of(made: Study) -> Trial | None:
    return winner(made, compare(summaries(made), made.problem.ranking, made.seed))


def trained(made: Trial) -> np.ndarray:
    """Where each replicate ends on all of its rows (R, P), as trained."""
    data = made.problem.draw(made.seed, made.replicates)
    x = np.concatenate([data.train_x, data.val_x], axis=1)
    y = np.concatenate([data.train_y, data.val_y], axis=1)
    rows = replace(data, train_x=x, train_y=y)
    order = made.order.permutations(rows, made.problem.model, made.seed, made.epochs, made.batch_size)
    return train_shard(Shard((made,)), rows, order).params[-1, 0].double().numpy()


def table(folder: Path, rows: int, seed: int) -> Path:
    """Three columns in units of their own, and a target off a plane over them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)) * [1.0, 300.0, 0.02] + [0.0, 5000.0, -1.0]
    y = x @ [2.0, -0.03, 40.0] + 7.0 + rng.normal(size=rows)
    frame = pd.DataFrame(x, columns=["one", "of hundreds", "small"]).assign(y=y)
    file = folder / f"{rows}-{seed}.csv"
    frame.to_csv(file, index=False)
    return file


@pytest.mark.parametrize(
    "contaminations",
    [["vertical(fraction=0.1, shift=10)", "clean"], ["single", "vertical(fraction=0.1, shift=10)"]],
)
def test_the_winner_is_the_best_under_clean_or_else_the_first_contamination(
    contaminations: list[str],
) -> None:
    made = study(
        problem="linear(rows=100, val=50)",
        contaminations=contaminations,
        losses=["l2", "l1"],
        lrs=[0.003, 0.3],
        orders=["signed", "shuffled"],
    )
    chosen = "clean" if "clean" in contaminations else "single(row=5, value=10000.0)"
    candidates = {
        summary.trial: nearest_rank(summary.ranking, 0.5)
        for summary in summaries(made)
        if str(summary.trial.contamination) == chosen and str(summary.trial.order) == "shuffled"
    }
    assert len(candidates) == 4
    assert winner_of(made) == min(candidates, key=lambda one: candidates[one])


def test_what_did_not_stay_finite_is_no_winner() -> None:
    made = study(problem="linear(rows=100, val=50)", lrs=[1000.0], epochs=20)
    assert winner_of(made) is None
    also_finite = study(problem="linear(rows=100, val=50)", lrs=[1000.0, 0.03], epochs=20)
    assert winner_of(also_finite) == trial(
        problem="linear(rows=100, val=50)", lr=0.03, epochs=20, batch_size=16
    )


@settings(max_examples=8)
@given(rows=st.integers(16, 40), seed=st.integers(0, 2**32 - 1), holdout=st.floats(0.05, 0.9))
def test_squared_loss_trained_for_long_is_least_squares_on_every_row(
    tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int, holdout: float
) -> None:
    file = table(tmp_path_factory.mktemp("table"), rows, seed)
    fitted = refit(
        trial(
            problem=f'table(path="{file}", target=y, holdout={holdout})',
            batch_size=rows,
            epochs=1500,
            lr=0.5,
            dtype="float64",
            replicates=2,
        )
    )
    frame = pd.read_csv(file)
    x = frame[["one", "of hundreds", "small"]].to_numpy()
    expected, *_ = np.linalg.lstsq(np.hstack([x, np.ones((rows, 1))]), frame.y, rcond=None)
    assert fitted is not None
    assert fitted.features == ("one", "of hundreds", "small")
    assert fitted.target == "y"
    np.testing.assert_allclose([*fitted.coefficients, fitted.intercept], expected, rtol=1e-6)
    np.testing.assert_array_equal(fitted.example, x[:5])


def test_at_the_middle_of_the_rows_it_predicts_the_replicates_median(tmp_path: Path) -> None:
    made = trial(problem=f'table(path="{table(tmp_path, 40, 1)}", target=y)', epochs=2, replicates=5)
    fitted = refit(made)
    levels = trained(made)[:, -1]
    assert len(set(levels)) == 5
    frame = pd.read_csv(tmp_path / "40-1.csv")
    assert fitted is not None
    predicted = np.dot(frame[[*fitted.features]].mean(), fitted.coefficients) + fitted.intercept
    expected = np.median(levels) * frame.y.std(ddof=0) + frame.y.mean()
    assert predicted == pytest.approx(expected, rel=1e-12)


def test_columns_without_names_are_numbered() -> None:
    fitted = refit(trial(problem="linear(w=[2.0, -3.4, 1.0], rows=200, val=100)", epochs=20))
    assert fitted is not None
    assert fitted.features == ("x1", "x2", "x3")
    assert fitted.target == "y"
    np.testing.assert_allclose([*fitted.coefficients, fitted.intercept], [2, -3.4, 1, 4.2], atol=0.01)


def test_a_line_through_the_origin_has_no_intercept() -> None:
    fitted = refit(trial(problem="ohm(noise=0.01, intercept=false)", epochs=5))
    assert fitted is not None
    assert fitted.coefficients == pytest.approx((5.1,), abs=0.01)
    assert fitted.intercept == 0.0


def test_one_diverged_replicate_leaves_no_model() -> None:
    fields = {"problem": "linear(rows=20, val=10)", "batch_size": 1, "epochs": 4, "replicates": 16}
    shaky = trial(lr=0.7, **fields)
    gone = np.abs(trained(shaky)).max(axis=1) > 1e5
    assert 0 < gone.sum() < 8
    assert refit(shaky) is None
    assert refit(trial(lr=0.1, **fields)) is not None


def test_it_is_the_same_bits_every_time() -> None:
    made = trial(problem="table(dataset=stackloss)", batch_size=4, epochs=30, loss="l1")
    one, other = refit(made), refit(made)
    assert one is not None and other is not None
    assert (one.coefficients, one.intercept) == (other.coefficients, other.intercept)
