"""Theoretical predictions against measurements, and no prediction where an assumption fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from regress.metrics.summary import TrialSummary
from regress.pipeline.run import run
from regress.study import Study, Trial
from regress.study.shards import cut_into_shards
from regress.theory.predictions import Theory, predict


def small(**fields: Any) -> Study:
    given = {"name": "small", "problem": "linear(rows=48, val=1)", "batch_sizes": [8], "dtype": "float64"}
    return Study(**given | {"replicates": 3, **fields})


def predict_trials(study: Study) -> dict[Trial, Theory]:
    """Return the predictions for each trial, without training."""
    clean, model = study.problem.draw(study.seed, study.replicates), study.problem.model
    predictions: dict[str, Theory] = {}
    for shard in cut_into_shards(study):
        size = shard.schedule.batch_size
        data = shard.contamination.apply(clean, model, study.seed)
        order = shard.order.permutations(data, model, study.seed, study.epochs, size)
        predictions |= predict(shard.contamination, size, [shard], data, clean, [shard.order], order)
    return {trial: predictions[trial.digest] for trial in study.trials}


def train_trials(study: Study) -> list[TrialSummary]:
    """Return the summaries of trained trials, with their predictions."""
    return list(run(study).summaries)


def predicted_names(study: Study) -> set[str]:
    """Return the names of the predictions of any trial."""
    return {name for theory in predict_trials(study).values() for name in theory}


FROZEN = ["sequential", "shuffle-once", "signed", "easy-to-hard(surrogate=oracle)", "oscillating-in"]


@pytest.mark.parametrize("tail", ["weight", "keep", "drop"])
@pytest.mark.parametrize(("reduction", "lr"), [("mean", 0.3), ("sum", 0.03)])
def test_a_repeated_order_ends_at_the_predicted_error(tail: str, reduction: str, lr: float) -> None:
    study = small(
        problem="linear(rows=50, val=1)",
        contaminations=["vertical(fraction=0.1, shift=10)"],
        orders=FROZEN,
        lrs=[lr],
        tail=tail,
        reduction=reduction,
        epochs=120,
    )
    for summary in train_trials(study):
        expected = summary.metrics["theory_frozen_error"]
        error = summary.metrics["final_param_error"]
        assert error == pytest.approx(expected, rel=1e-6), summary.trial.label


def test_the_predicted_error_of_a_table_is_relative_to_its_fit() -> None:
    study = small(
        problem="table(dataset=stackloss)", orders=["sequential"], batch_sizes=[4], lrs=[0.2], epochs=400
    )
    (summary,) = train_trials(study)
    expected = summary.metrics["theory_frozen_error"]
    assert summary.metrics["final_param_error"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "order",
    ["shuffled", "flip-flop", "with-replacement", "grab", "signed(level=batch)", "signed(surrogate=self)"],
)
def test_an_order_that_changes_has_no_frozen_error(order: str) -> None:
    assert "frozen_error" not in predicted_names(small(orders=[order]))


def test_the_frozen_error_needs_several_epochs_squared_loss_and_stability() -> None:
    assert "frozen_error" in predicted_names(small(orders=["sequential"]))
    assert "frozen_error" not in predicted_names(small(orders=["sequential"], epochs=1))
    assert "frozen_error" not in predicted_names(small(orders=["sequential"], losses=["l1", "huber"]))
    assert "frozen_error" not in predicted_names(small(orders=["sequential"], lrs=[3.0]))


def test_sgd_with_replacement_has_the_predicted_stationary_error() -> None:
    study = small(
        problem="linear(noise=1.0, rows=256, val=1)",
        orders=["with-replacement"],
        lrs=[0.1, 0.4],
        replicates=400,
        epochs=3,
    )
    for summary in train_trials(study):
        rms = np.sqrt(np.mean(summary.final_error**2))
        assert rms == pytest.approx(summary.theory["stationary_error"], rel=0.07)


@pytest.mark.parametrize(
    ("fields", "is_predicted"),
    [
        ({}, True),
        ({"orders": ["shuffled"]}, False),
        ({"orders": ["shuffle-once"]}, False),
        ({"losses": ["huber"]}, False),
        ({"problem": "linear(rows=50, val=1)"}, False),
        ({"problem": "linear(rows=50, val=1)", "tail": "keep"}, False),
        ({"problem": "linear(rows=50, val=1)", "tail": "drop"}, True),
        ({"lrs": [1.9]}, False),
    ],
    ids=str,
)
def test_the_stationary_error_needs_equal_batches_drawn_with_replacement(
    fields: Mapping[str, Any], is_predicted: bool
) -> None:
    assert (
        "stationary_error" in predicted_names(small(**{"orders": ["with-replacement"], **fields}))
    ) == is_predicted


def test_training_converges_below_the_edges_and_diverges_above() -> None:
    (theory,) = predict_trials(small(batch_sizes=[48], replicates=1)).values()
    edge = theory["mean_edge"]
    below, above = train_trials(
        small(batch_sizes=[48], replicates=1, lrs=[0.98 * edge, 1.02 * edge], epochs=600)
    )
    assert below.final_error[0] < 0.1
    assert above.histories["param_error"].median[-1] > 1e3
    study = small(orders=["with-replacement"], batch_sizes=[1], replicates=64, epochs=40)
    edge = next(iter(predict_trials(study).values()))["mean_square_edge"]
    below, above = train_trials(study.model_copy(update={"lrs": (0.7 * edge, 1.6 * edge)}))
    assert below.diverged_fraction == 0
    assert above.diverged_fraction > 0.2


def test_the_edges_depend_on_the_rows_and_the_reduction() -> None:
    fields: dict[str, Any] = {"contaminations": ["clean", "cluster(fraction=0.1, x=5, y=0, spread=1)"]}
    mean, summed = predict_trials(small(**fields)), predict_trials(small(**fields, reduction="sum"))
    for by_mean, by_sum in zip(mean.values(), summed.values(), strict=True):
        assert by_mean["mean_square_edge"] < by_mean["mean_edge"]
        for name in ("mean_edge", "mean_square_edge"):
            assert by_sum[name] == pytest.approx(by_mean[name] / 8)
    clean, contaminated = mean.values()
    assert contaminated["mean_edge"] < 0.7 * clean["mean_edge"]


@pytest.mark.parametrize(
    "fields",
    [{"losses": ["huber", "l1", "smooth-l1"]}, {"problem": "planck(form=scaled)", "sigmas": [3000]}],
    ids=str,
)
def test_the_edges_need_squared_loss_and_a_linear_model(fields: Mapping[str, Any]) -> None:
    assert not {"mean_edge", "mean_square_edge"} & predicted_names(small(**fields))


def test_rows_that_overflow_have_no_other_prediction_than_the_mean_edge() -> None:
    far = "cluster(fraction=0.1, x=1e200, y=1e200, spread=1)"
    assert predicted_names(small(contaminations=[far], orders=["shuffled", "sequential"])) <= {"mean_edge"}


def test_epochs_to_tolerance_follow_the_initial_scale() -> None:
    study = Study(
        **{
            "name": "scale",
            "losses": ["l2", "l1", "huber(delta=2.0)"],
            "sigmas": [0.01, 10.0, 30.0, 100.0],
            "epochs": 90,
            "tolerance": 0.1,
            "replicates": 8,
        }
    )
    tested = set()
    for summary in train_trials(study):
        if (expected := summary.theory.get("epochs_to_tolerance", np.inf)) < study.epochs:
            tested.add((summary.trial.loss.name, summary.trial.sigma))
            epochs = summary.metrics["epochs_to_tolerance"]
            assert expected - 0.5 <= epochs <= 1.15 * expected + 2, summary.trial.label
    assert {("l2", 0.01), ("l2", 100.0), ("l1", 0.01), ("l1", 10.0), ("huber", 30.0)} <= tested
    assert ("huber", 0.01) not in tested


@pytest.mark.parametrize(
    "fields",
    [
        {"contaminations": ["vertical(fraction=0.1, shift=10)"]},
        {"contaminations": ["heavy-tails(df=3)"]},
        {"problem": "ohm(noise=0.01)"},
        {"problem": "table(dataset=stackloss)"},
        {"problem": "linear(noise=1.0, rows=48)"},
        {"orders": ["signed", "easy-to-hard(level=batch)", "grab"]},
        {"lrs": [1.9]},
        {"losses": ["l1"], "lrs": [0.3]},
        {"losses": ["huber", "fair", "huber(delta=1.0, scale=mad)"]},
    ],
    ids=str,
)
def test_epochs_to_tolerance_are_not_predicted_if_an_assumption_fails(fields: Mapping[str, Any]) -> None:
    assert "epochs_to_tolerance" in predicted_names(small())
    assert "epochs_to_tolerance" not in predicted_names(small(**fields))


OUTLIERS = {
    "problem": "linear(noise=1.0, rows=48)",
    "contaminations": ["vertical(fraction=0.2, shift=100)"],
}


@pytest.mark.parametrize(
    ("loss", "bias"), [("l1", 0.3186), ("huber(delta=1.345)", 0.416), ("tukey(c=4.685)", 0.0)]
)
def test_the_bias_agrees_with_that_of_distant_outliers(loss: str, bias: float) -> None:
    """The values are those of `test_bias`: Huber (1964) for L1 and Huber; Tukey's psi is 0 beyond c."""
    for contamination in (
        "vertical(fraction=0.2, shift=100)",
        "vertical(fraction=0.2, shift=-100)",
        "gross-error(fraction=0.2, shift=100, spread=2)",
    ):
        fields = OUTLIERS | {"contaminations": [contamination], "losses": [loss]}
        (theory,) = predict_trials(small(**fields)).values()
        assert theory["bias"] == pytest.approx(bias, abs=1e-3)


def test_training_has_the_predicted_bias() -> None:
    study = small(
        problem="linear(noise=1.0)",
        contaminations=["vertical(fraction=0.2, shift=100)"],
        losses=["l1", "huber(delta=1.345)"],
        batch_sizes=[32],
        epochs=30,
        replicates=16,
    )
    for summary in train_trials(study):
        bias = summary.coefficients["b"] - 4.2
        assert bias == pytest.approx(summary.theory["bias"], abs=0.05)


@pytest.mark.parametrize(
    "fields",
    [
        {"problem": "linear(noise=0.0, rows=48)"},
        {"problem": "ohm(intercept=false, rows=48)"},
        {"problem": "table(dataset=engel)"},
        {"contaminations": ["clean"]},
        {"contaminations": ["adaptive-vertical(fraction=0.2, shift=100)"]},
        {"contaminations": ["bad-leverage(fraction=0.2, scale=2, shift=100)"]},
        {"contaminations": ["vertical(fraction=0.2, shift=5)"]},
        {"contaminations": ["gross-error(fraction=0.2, shift=100, spread=50)"]},
        {"losses": ["l2"]},
        {"losses": ["quantile(tau=0.9)"]},
        {"losses": ["cauchy"]},
        {"losses": ["huber(delta=1.345, scale=mad)"]},
        {"losses": ["huber(delta=99.0)"]},
        {"orders": ["signed", "hard-to-easy", "grab"]},
    ],
    ids=str,
)
def test_the_bias_is_not_predicted_if_an_assumption_fails(fields: Mapping[str, Any]) -> None:
    assert "bias" in predicted_names(small(**OUTLIERS, losses=["l1"]))
    assert "bias" not in predicted_names(small(**{**OUTLIERS, "losses": ["l1"], **fields}))


def test_predictions_are_finite_and_recorded_as_metrics() -> None:
    study = small(lrs=[0.03, 3.0], orders=["shuffled", "sequential", "with-replacement"], epochs=2)
    for summary in train_trials(study):
        assert np.isfinite(list(summary.theory.values())).all()
        recorded = {name: value for name, value in summary.metrics.items() if name.startswith("theory_")}
        assert recorded == {f"theory_{name}": value for name, value in summary.theory.items()}
        assert recorded
