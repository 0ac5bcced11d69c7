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


def predicted(study: Study) -> dict[Trial, Theory]:
    """The predictions for each trial, without training any."""
    clean, model = study.problem.draw(study.seed, study.replicates), study.problem.model
    predictions: dict[str, Theory] = {}
    for shard in cut_into_shards(study):
        size = shard.schedule.batch_size
        data = shard.contamination.apply(clean, model, study.seed)
        order = shard.order.permutations(data, model, study.seed, study.epochs, size)
        predictions |= predict(shard.contamination, size, [shard], data, clean, [shard.order], order)
    return {trial: predictions[trial.digest] for trial in study.trials}


def measured(study: Study) -> list[TrialSummary]:
    """Trained trials with their predictions."""
    return list(run(study).summaries)


def names(study: Study) -> set[str]:
    """What is said of any trial."""
    return {name for said in predicted(study).values() for name in said}


FROZEN = ["sequential", "shuffle-once", "signed", "easy-to-hard(surrogate=oracle)", "oscillating-in"]


@pytest.mark.parametrize("tail", ["weight", "keep", "drop"])
@pytest.mark.parametrize(("reduction", "lr"), [("mean", 0.3), ("sum", 0.03)])
def test_a_repeated_order_ends_at_the_error_predicted(tail: str, reduction: str, lr: float) -> None:
    study = small(
        problem="linear(rows=50, val=1)",
        contaminations=["vertical(fraction=0.1, shift=10)"],
        orders=FROZEN,
        lrs=[lr],
        tail=tail,
        reduction=reduction,
        epochs=120,
    )
    for summary in measured(study):
        said = summary.metrics["theory_frozen_error"]
        assert summary.metrics["final_param_error"] == pytest.approx(said, rel=1e-6), summary.trial.label


def test_a_table_s_error_is_from_its_own_fit() -> None:
    study = small(
        problem="table(dataset=stackloss)", orders=["sequential"], batch_sizes=[4], lrs=[0.2], epochs=400
    )
    (summary,) = measured(study)
    said = summary.metrics["theory_frozen_error"]
    assert summary.metrics["final_param_error"] == pytest.approx(said, rel=1e-3)


@pytest.mark.parametrize(
    "order",
    ["shuffled", "flip-flop", "with-replacement", "grab", "signed(level=batch)", "signed(surrogate=self)"],
)
def test_an_order_that_changes_has_no_such_limit(order: str) -> None:
    assert "frozen_error" not in names(small(orders=[order]))


def test_neither_has_a_single_epoch_nor_another_loss_nor_what_expands() -> None:
    assert "frozen_error" in names(small(orders=["sequential"]))
    assert "frozen_error" not in names(small(orders=["sequential"], epochs=1))
    assert "frozen_error" not in names(small(orders=["sequential"], losses=["l1", "huber"]))
    assert "frozen_error" not in names(small(orders=["sequential"], lrs=[3.0]))


def test_with_replacement_sgd_is_as_far_off_as_predicted() -> None:
    study = small(
        problem="linear(noise=1.0, rows=256, val=1)",
        orders=["with-replacement"],
        lrs=[0.1, 0.4],
        replicates=400,
        epochs=3,
    )
    for summary in measured(study):
        rms = np.sqrt(np.mean(summary.final_error**2))
        assert rms == pytest.approx(summary.theory["stationary_error"], rel=0.07)


@pytest.mark.parametrize(
    ("fields", "is_said"),
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
def test_nothing_is_stationary_but_equal_batches_with_replacement(
    fields: Mapping[str, Any], is_said: bool
) -> None:
    assert ("stationary_error" in names(small(**{"orders": ["with-replacement"], **fields}))) == is_said


def test_the_edges_lie_between_what_stays_and_what_leaves() -> None:
    (said,) = predicted(small(batch_sizes=[48], replicates=1)).values()
    edge = said["mean_edge"]
    stays, leaves = measured(
        small(batch_sizes=[48], replicates=1, lrs=[0.98 * edge, 1.02 * edge], epochs=600)
    )
    assert stays.final_error[0] < 0.1
    assert leaves.histories["param_error"].median[-1] > 1e3
    study = small(orders=["with-replacement"], batch_sizes=[1], replicates=64, epochs=40)
    edge = next(iter(predicted(study).values()))["mean_square_edge"]
    stays, leaves = measured(study.model_copy(update={"lrs": (0.7 * edge, 1.6 * edge)}))
    assert stays.diverged_fraction == 0
    assert leaves.diverged_fraction > 0.2


def test_edges_are_those_of_the_rows_and_the_batches() -> None:
    fields: dict[str, Any] = {"contaminations": ["clean", "cluster(fraction=0.1, x=5, y=0, spread=1)"]}
    mean, summed = predicted(small(**fields)), predicted(small(**fields, reduction="sum"))
    for one, other in zip(mean.values(), summed.values(), strict=True):
        assert one["mean_square_edge"] < one["mean_edge"]
        for name in ("mean_edge", "mean_square_edge"):
            assert other[name] == pytest.approx(one[name] / 8)
    clean, contaminated = mean.values()
    assert contaminated["mean_edge"] < 0.7 * clean["mean_edge"]


@pytest.mark.parametrize(
    "fields",
    [{"losses": ["huber", "l1", "smooth-l1"]}, {"problem": "planck(form=scaled)", "sigmas": [3000]}],
    ids=str,
)
def test_no_edges_but_of_squared_loss_on_a_linear_model(fields: Mapping[str, Any]) -> None:
    assert not {"mean_edge", "mean_square_edge"} & names(small(**fields))


def test_rows_that_no_one_can_compute_with_are_left_alone() -> None:
    far = "cluster(fraction=0.1, x=1e200, y=1e200, spread=1)"
    assert names(small(contaminations=[far], orders=["shuffled", "sequential"])) <= {"mean_edge"}


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
    seen = set()
    for summary in measured(study):
        if (said := summary.theory.get("epochs_to_tolerance", np.inf)) < study.epochs:
            seen.add((summary.trial.loss.name, summary.trial.sigma))
            found = summary.metrics["epochs_to_tolerance"]
            assert said - 0.5 <= found <= 1.15 * said + 2, summary.trial.label
    assert {("l2", 0.01), ("l2", 100.0), ("l1", 0.01), ("l1", 10.0), ("huber", 30.0)} <= seen
    assert ("huber", 0.01) not in seen


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
def test_no_epochs_where_the_law_does_not_hold(fields: Mapping[str, Any]) -> None:
    assert "epochs_to_tolerance" in names(small())
    assert "epochs_to_tolerance" not in names(small(**fields))


OUTLIERS = {
    "problem": "linear(noise=1.0, rows=48)",
    "contaminations": ["vertical(fraction=0.2, shift=100)"],
}


@pytest.mark.parametrize(
    ("loss", "bias"), [("l1", 0.3186), ("huber(delta=1.345)", 0.416), ("tukey(c=4.685)", 0.0)]
)
def test_the_intercept_s_bias_is_that_of_far_outliers(loss: str, bias: float) -> None:
    """The first from Huber's formula, the second from the theory's own tests; beyond c Tukey's psi is 0."""
    for contamination in (
        "vertical(fraction=0.2, shift=100)",
        "vertical(fraction=0.2, shift=-100)",
        "gross-error(fraction=0.2, shift=100, spread=2)",
    ):
        fields = OUTLIERS | {"contaminations": [contamination], "losses": [loss]}
        (said,) = predicted(small(**fields)).values()
        assert said["bias"] == pytest.approx(bias, abs=1e-3)


def test_a_run_is_biased_as_predicted() -> None:
    study = small(
        problem="linear(noise=1.0)",
        contaminations=["vertical(fraction=0.2, shift=100)"],
        losses=["l1", "huber(delta=1.345)"],
        batch_sizes=[32],
        epochs=30,
        replicates=16,
    )
    for summary in measured(study):
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
def test_no_bias_where_outliers_are_not_far_to_one_side(fields: Mapping[str, Any]) -> None:
    assert "bias" in names(small(**OUTLIERS, losses=["l1"]))
    assert "bias" not in names(small(**{**OUTLIERS, "losses": ["l1"], **fields}))


def test_what_is_said_is_finite_and_stands_among_the_metrics() -> None:
    study = small(lrs=[0.03, 3.0], orders=["shuffled", "sequential", "with-replacement"], epochs=2)
    for summary in measured(study):
        assert np.isfinite(list(summary.theory.values())).all()
        said = {name: value for name, value in summary.metrics.items() if name.startswith("theory_")}
        assert said == {f"theory_{name}": value for name, value in summary.theory.items()}
        assert said
