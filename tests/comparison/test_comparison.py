"""Comparison of trials: order effects with confidence intervals, best trials and divergence."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regress.comparison import compare, log_ratios, median_interval
from regress.metrics.summary import Quantiles, TrialSummary
from tests.study.test_study import trial

INF = float("inf")


def summary(error: Any, **fields: Any) -> TrialSummary:
    """Return a trial with these final errors; replicates with a non-finite error diverged."""
    final = np.array(error, float)
    return TrialSummary(
        trial=trial(**fields),
        histories={},
        finals={"final_param_error": Quantiles.of(final)},
        final_error=final,
        ranking=final,
        coefficients={},
        diverged=~np.isfinite(final),
        of_trial={},
    )


def effects(*summaries: TrialSummary) -> Any:
    return compare(summaries, "param_error", 0).orders


POSITIVE = st.floats(1e-300, 1e300)
ERRORS = st.lists(POSITIVE | st.sampled_from([0.0, INF]), min_size=1, max_size=20)


def test_an_order_effect_agrees_with_values_computed_by_hand() -> None:
    (effect,) = effects(
        summary([1.0, 1.0, 2.0], order="shuffled"), summary([2.0, 4.0, 16.0], order="easy-to-hard")
    )
    # The log ratios are log 2, log 4 and log 8.
    assert effect.log_ratio == pytest.approx(np.log(4))
    assert (effect.order, effect.contamination, effect.loss) == ("easy-to-hard", "clean", "l2")
    assert (effect.lr, effect.sigma, effect.batch_size) == (0.03, 0.01, 32)
    assert (effect.n, effect.left_out) == (3, 0)
    assert effect.lo == pytest.approx(np.log(2))
    assert effect.hi == pytest.approx(np.log(8))


@settings(max_examples=20)
@given(ERRORS, st.data())
def test_pairs_that_diverged_are_left_out_and_counted(baseline: list[float], data: st.DataObject) -> None:
    error = data.draw(
        st.lists(POSITIVE | st.sampled_from([0.0, INF]), min_size=len(baseline), max_size=len(baseline))
    )
    (effect,) = effects(summary(baseline), summary(error, order="signed"))
    usable = [
        np.log(b) - np.log(a) for a, b in zip(baseline, error, strict=True) if 0 < a < INF and 0 < b < INF
    ]
    assert effect.n == len(usable)
    assert effect.left_out == len(baseline) - len(usable)
    if usable:
        assert effect.log_ratio == pytest.approx(np.median(usable), rel=1e-12, abs=1e-12)
        assert effect.lo <= effect.log_ratio <= effect.hi
        assert 0 <= effect.p_holm <= 1
    else:
        assert effect.log_ratio is effect.lo is effect.hi is effect.p_holm is None


def test_a_setting_in_which_all_replicates_diverged_has_no_effect() -> None:
    (effect,) = effects(summary([INF, np.nan]), summary([1.0, 2.0], order="signed"))
    assert effect.log_ratio is effect.lo is effect.hi is effect.p_holm is None
    assert (effect.n, effect.left_out) == (0, 2)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=20))
def test_log_ratios_are_antisymmetric(pairs: list[tuple[float, float]]) -> None:
    baseline, error = (np.array(errors) for errors in zip(*pairs, strict=True))
    np.testing.assert_array_equal(log_ratios(baseline, error), -log_ratios(error, baseline))


def test_an_order_with_equal_errors_has_an_effect_of_zero() -> None:
    (effect,) = effects(summary([1.0, 2.0, 3.0]), summary([1.0, 2.0, 3.0], order="sequential"))
    assert effect.log_ratio == effect.lo == effect.hi == 0.0
    assert effect.p_holm == 1.0


def test_a_setting_is_compared_with_its_shuffled_trial() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"loss": "l1"},
        {"lr": 0.3},
        {"sigma": 1.0},
        {"batch_size": 8},
        {"contamination": "single"},
    ]
    shuffled = [summary([2.0**i] * 3, **change) for i, change in enumerate(changes)]
    signed = [summary([1.0] * 3, order="signed", **change) for change in changes]
    log_ratio = [effect.log_ratio for effect in effects(*reversed(shuffled), *signed)]
    assert log_ratio == pytest.approx([-i * np.log(2) for i in range(6)])


def test_an_order_is_not_compared_without_a_shuffled_trial() -> None:
    assert effects(summary([1.0], order="signed")) == ()
    assert effects(summary([1.0], order="signed"), summary([1.0], lr=0.3)) == ()
    assert effects(summary([1.0]), summary([2.0], lr=0.3)) == ()


def test_p_values_are_adjusted_over_all_settings() -> None:
    # If all n differences have the same sign, the exact two-sided signed-rank p is 2 / 2**n.
    sizes = {"easy-to-hard": 8, "hard-to-easy": 7, "signed": 5, "sequential": 6}
    base = 2.0 ** np.arange(1, 9)
    trials = [summary([*(base[:n] ** 2), *([INF] * (8 - n))], order=order) for order, n in sizes.items()]
    by_order = {effect.order: effect for effect in effects(summary(base), *trials)}
    raw = {order: 2 / 2**n for order, n in sizes.items()}
    # Holm (1979): the k-th smallest p of m, multiplied by m - k + 1 and made monotone.
    expected = {
        "easy-to-hard": 4 * raw["easy-to-hard"],
        "hard-to-easy": 3 * raw["hard-to-easy"],
        "sequential": 2 * raw["sequential"],
        "signed": max(2 * raw["sequential"], raw["signed"]),
    }
    assert {order: effect.p_holm for order, effect in by_order.items()} == pytest.approx(expected)
    assert {order: effect.n for order, effect in by_order.items()} == sizes


def test_settings_in_which_all_replicates_diverged_are_not_counted_by_holm() -> None:
    base = 2.0 ** np.arange(1, 9)
    (_, signed) = effects(
        summary(base), summary([INF] * 8, order="sequential"), summary(base**2, order="signed")
    )
    assert signed.p_holm == pytest.approx(2 / 2**8)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.integers(0, 2**64 - 1))
def test_the_interval_contains_the_median_and_depends_on_the_seed_alone(
    values: list[float], seed: int
) -> None:
    lo, hi = median_interval(np.array(values), seed)
    assert min(values) <= lo <= np.median(values) <= hi <= max(values)
    assert median_interval(np.array(values), seed) == (lo, hi)


def test_the_coverage_of_the_interval_is_near_its_level() -> None:
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.normal(size=16), 0) for _ in range(300)]
    # The coverage of the percentile bootstrap for the median of 16 is slightly below .95.
    assert 0.87 < np.mean([lo <= 0 <= hi for lo, hi in intervals]) < 0.99


def test_an_effect_does_not_depend_on_other_settings() -> None:
    base, signed = summary([1.0, 2.0, 3.0]), summary([2.0, 3.0, 9.0], order="signed")
    others = [summary([1.0, 2.0, 4.0], lr=0.3), summary([3.0, 1.0, 1.0], lr=0.3, order="signed")]
    alone = effects(base, signed)[0]
    together = next(effect for effect in effects(*others, base, signed) if effect.lr == 0.03)
    assert (alone.log_ratio, alone.lo, alone.hi) == (together.log_ratio, together.lo, together.hi)


def test_the_best_trial_has_the_smallest_median_among_shuffled_trials() -> None:
    (best,) = compare(
        [
            summary([1.0, 5.0, 9.0]),
            summary([4.0, 4.0, 4.0], loss="l1"),
            summary([0.1, 0.1, 0.1], order="signed"),
            summary([0.1, INF, INF], lr=0.3),
        ],
        "param_error",
        0,
    ).best
    assert (best.row.loss, best.row.order, best.row.contamination, best.metric) == (
        "l1",
        "shuffled",
        "clean",
        "param_error",
    )
    assert (best.median, best.q05, best.q95) == (4.0, 4.0, 4.0)


def test_the_best_trial_is_of_the_first_order_if_none_is_shuffled() -> None:
    orders = {"signed": 2.0, "sequential": 1.0}
    (best,) = compare([summary([e], order=o) for o, e in orders.items()], "param_error", 0).best
    assert (best.row.order, best.median) == ("signed", 2.0)


def test_each_contamination_has_a_best_trial_unless_all_diverged() -> None:
    best_trials = compare(
        [
            summary([1.0]),
            summary([2.0], loss="l1"),
            summary([2.0], contamination="single"),
            summary([1.0], contamination="single", loss="l1"),
            summary([INF], contamination="vertical(fraction=0.1, shift=10)"),
        ],
        "val_median_abs_residual",
        0,
    ).best
    assert {(best.row.contamination.split("(")[0], best.row.loss) for best in best_trials} == {
        ("clean", "l2"),
        ("single", "l1"),
    }
    assert {best.metric for best in best_trials} == {"val_median_abs_residual"}


def test_a_best_trial_may_have_an_infinite_quantile() -> None:
    (best,) = compare([summary([1.0, 2.0, INF])], "param_error", 0).best
    assert (best.median, best.q05, best.q95) == (2.0, 1.0, INF)


def test_diverged_trials_are_counted_by_contamination_and_loss() -> None:
    comparison = compare(
        [
            summary([1.0, 2.0]),
            summary([1.0, INF], lr=0.3),
            summary([INF, np.nan], lr=3.0),
            summary([1.0, 1.0], loss="l1", lr=3.0),
            summary([1.0, INF], loss="l1", lr=3.0, order="signed"),
            summary([1.0, 1.0], loss="huber", lr=3.0),
        ],
        "param_error",
        0,
    )
    rows = {row.loss: (row.trials, row.diverged, row.wholly, row.from_lr) for row in comparison.diverged}
    assert rows == {"l2": (3, 2, 1, 0.3), "l1": (2, 1, 0, 3.0)}
    assert comparison.diverged_trials == 3
