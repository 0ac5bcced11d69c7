"""The comparisons, controls and verdicts of a rerun."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.metrics.results import results_schema
from regress.numerics import streams
from regress.pipeline.steps import EvaluatedShard
from regress.rerun.bits import compare_bits, count_ulps
from regress.rerun.checks import judge_tolerance
from regress.rerun.controls import Control, run_bits_controls, run_statistics_controls
from regress.rerun.environment_changes import (
    diff_environments,
    find_changed_files,
    has_processor_changed,
    may_change_bits,
)
from regress.rerun.oracle import check_oracles
from regress.rerun.retrain import (
    UNPERTURBED,
    Perturbation,
    RoundingPerturbation,
    collect_rows,
    retrain,
    scale_lrs,
    with_fresh_seed,
    with_next_seed,
)
from regress.rerun.rows import Rows, align, parse_rows
from regress.rerun.statistics import ALPHA, compare_errors, p_values, required_replicates
from regress.rerun.tolerance import (
    TOLERANCES,
    Deviations,
    find_discontinuous_trials,
    find_sensitive_trials,
    measure_deviations,
)
from regress.rerun.verdict import Verdict, combine_verdicts, worst_verdict
from regress.rerun.verdict_tables import describe_time_since_last
from regress.study import Dtype, Study
from regress.study.load import load
from regress.study.shards import cut_into_shards
from tests.helpers import execute, refusal

FLOATS = st.floats(width=64) | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, math.inf, -math.inf, math.nan])
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def p_value(recorded: Any, fresh: Any, dtype: Dtype) -> float:
    return float(p_values([recorded], [fresh], dtype)[0])


def array(*values: float, dtype: str = "float64") -> Any:
    return np.array(values, dtype)


@given(FINITE, st.sampled_from([np.inf, -np.inf]))
def test_adjacent_numbers_are_one_ulp_apart(x: float, towards: float) -> None:
    assert count_ulps(array(x), np.nextafter(array(x), towards)) == 1


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_adjacent_float32_numbers_are_one_ulp_apart(x: float) -> None:
    number = array(x, dtype="float32")
    assert count_ulps(number, np.nextafter(number, np.float32(np.inf))) == 1


@given(FLOATS, FLOATS)
def test_ulp_distance_is_symmetric_and_zero_only_for_equal_numbers(x: float, y: float) -> None:
    a, b = array(x), array(y)
    assert count_ulps(a, b) == count_ulps(b, a)
    are_equal = x == y or (math.isnan(x) and math.isnan(y))
    assert (count_ulps(a, b) == 0) == are_equal
    assert (count_ulps(a, b) == np.inf) == (math.isnan(x) != math.isnan(y))


@given(st.floats(-1e308, 1e308), st.integers(0, 6))
def test_ulp_distances_add_up(x: float, steps: int) -> None:
    start = end = array(x)
    for _ in range(steps):
        end = np.nextafter(end, np.inf)
    assert count_ulps(start, end) == steps


def test_known_ulp_distances() -> None:
    assert count_ulps(array(1.0), array(2.0)) == 2**52
    assert count_ulps(array(1.0, dtype="float32"), array(2.0, dtype="float32")) == 2**23
    assert count_ulps(array(-5e-324), array(5e-324)) == 2
    assert count_ulps(array(np.finfo(float).max), array(np.inf)) == 1


@pytest.fixture(scope="module")
def study() -> Study:
    """Twelve trials; some diverge."""
    return load(
        "default",
        [
            "problem=linear(rows=60, val=20)",
            "contaminations=vertical(fraction=0.1, shift=10.0)",
            "orders=shuffled,signed",
            "losses=l2,l1",
            "lrs=.03,.3,3",
            "sigmas=.01",
            "batch_sizes=16",
            "epochs=3",
            "replicates=6",
        ],
    )


@pytest.fixture(scope="module")
def evaluated(study: Study) -> list[EvaluatedShard]:
    return execute(study)


@pytest.fixture(scope="module")
def recorded(study: Study, evaluated: list[EvaluatedShard]) -> Rows:
    return collect_rows(study, evaluated)


def train(study: Study, changed: Study, perturbation: Perturbation = UNPERTURBED) -> Rows:
    """Return the rows of the changed study under the digests of `study`'s trials."""
    clean = changed.problem.draw(changed.seed, changed.replicates)
    shards = [retrain(shard, clean, perturbation) for shard in cut_into_shards(changed)]
    return collect_rows(study, shards, changed)


def with_val_loss(rows: Rows, index: int, value: float) -> Rows:
    """Return the rows with another validation loss at one index."""
    column = rows.metrics["val_loss"].copy()
    column[index] = value
    return replace(rows, metrics=rows.metrics | {"val_loss": column})


def test_a_file_does_not_differ_from_itself(study: Study, recorded: Rows) -> None:
    assert recorded.diverged.any()
    assert not recorded.diverged.all()
    differences = compare_bits(recorded, recorded, align(recorded, recorded), study.dtype)
    assert differences.count == 0
    assert differences.first is None
    assert differences.compared == len(recorded) == 12 * 3 * 6


def test_one_ulp_in_one_number_is_reported(study: Study, recorded: Rows) -> None:
    index = 100
    value = recorded.metrics["val_loss"][index]
    edited = with_val_loss(recorded, index, float(np.nextafter(value, np.inf)))
    differences = compare_bits(edited, recorded, align(edited, recorded), study.dtype)
    row = recorded.keys.iloc[index]
    assert differences.count == 1
    assert differences.first
    assert vars(differences.first) == {
        "trial": row.trial,
        "epoch": row.epoch,
        "replicate": row.replicate,
        "ulps": 1,
    }
    assert differences.table["columns"].tolist() == ["val_loss"]


def test_parameter_distances_are_in_ulps_of_the_training_type(study: Study, recorded: Rows) -> None:
    index = int((~recorded.diverged).argmax())
    param = np.float32(recorded.params[index, 0])
    for value, expected in (
        (float(np.nextafter(param, np.float32(np.inf))), 1),
        (float(np.nextafter(float(param), np.inf)), 1),
    ):
        params = recorded.params.copy()
        params[index, 0] = value
        edited = replace(recorded, params=params)
        differences = compare_bits(edited, recorded, align(edited, recorded), study.dtype)
        assert differences.max_ulps == expected


def test_missing_and_duplicate_rows_are_differences(study: Study, recorded: Rows) -> None:
    table = recorded_table(recorded)
    for edited_table in (table.slice(1), table.take([0, *range(len(table))])):
        edited = parse_rows(edited_table, 3)
        differences = compare_bits(edited, recorded, align(edited, recorded), study.dtype)
        assert differences.count == 1
        assert differences.first
        assert differences.first.ulps is None
        assert differences.table["columns"][0].startswith("only")
        assert math.isinf(
            measure_deviations(edited, recorded, align(edited, recorded), "float32")[
                differences.first.trial
            ]
        )


def recorded_table(rows: Rows) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            **{name: pa.array(rows.keys[name]) for name in rows.keys},
            "params": pa.array(rows.params.tolist()),
            "params_digest": pa.array(rows.digests),
            **{name: pa.array(values) for name, values in rows.metrics.items()},
            "diverged": pa.array(rows.diverged),
            "first_nonfinite_step": pa.array(rows.first_nonfinite_step, from_pandas=True).cast("int64"),
        }
    )


def test_other_columns_are_refused(recorded: Rows) -> None:
    table = recorded_table(recorded).select(results_schema().names)
    assert "its columns are not" in refusal(parse_rows, table.drop_columns(["params"]), 3)
    assert "lists of 4 numbers" in refusal(parse_rows, table, 4)


def test_a_deviation_just_within_the_tolerance_holds_and_one_just_outside_drifts(
    study: Study, recorded: Rows
) -> None:
    tolerance = TOLERANCES["float32"]
    index = int((~recorded.diverged).argmax())
    value = float(recorded.metrics["val_loss"][index])
    allowed = tolerance.atol + tolerance.rtol * abs(value)
    for factor, verdict in ((0.99, Verdict.HOLDS), (1.01, Verdict.DRIFTED)):
        edited = with_val_loss(recorded, index, value + factor * allowed)
        deviations = measure_deviations(recorded, edited, align(recorded, edited), "float32")
        assert max(deviations.values()) == pytest.approx(factor)
        assert judge_tolerance(Deviations(deviations, frozenset()), study).verdict == verdict
        # With all trials left out the check does not apply.
        assert judge_tolerance(Deviations(deviations, frozenset(deviations)), study).verdict is None


def test_diverged_models_compare_by_their_flag(recorded: Rows) -> None:
    index = int(recorded.diverged.argmax())
    edited = with_val_loss(recorded, index, 1.0)
    assert max(measure_deviations(recorded, edited, align(recorded, edited), "float32").values()) == 0
    flags = recorded.diverged.copy()
    flags[index] = False
    edited = replace(recorded, diverged=flags)
    assert max(measure_deviations(recorded, edited, align(recorded, edited), "float32").values()) == np.inf


def test_one_rounding_moves_unstable_trials_only() -> None:
    study = load("default", ["problem=linear(rows=200, val=20)", "losses=l2,huber", "sigmas=.01"])
    study = study.model_copy(update={"replicates": 2, "orders": study.orders[:1]})
    unperturbed = train(study, study)
    perturbed = train(study, study, RoundingPerturbation("float32"))
    sensitive = find_sensitive_trials(unperturbed, perturbed, align(unperturbed, perturbed), "float32")
    labels = {trial.digest: (str(trial.loss), trial.lr) for trial in study.trials}
    assert ("huber(delta=1.0)", 3.0) in {labels[trial] for trial in sensitive}
    assert not {labels[trial] for trial in sensitive} & {("l2", 0.03), ("l2", 0.003), ("l2", 0.3)}
    assert {
        str(trial.loss) for trial in study.trials if trial.digest in find_discontinuous_trials(study)
    } == set()


def test_losses_with_a_discontinuous_derivative_are_left_out(study: Study) -> None:
    discontinuous = find_discontinuous_trials(study)
    assert {str(trial.loss) for trial in study.trials if trial.digest in discontinuous} == {"l1"}
    assert {str(trial.loss) for trial in study.trials if trial.digest not in discontinuous} == {"l2"}


def test_a_small_study_needs_more_fresh_replicates() -> None:
    assert required_replicates(16, 324) == 16
    replicates = required_replicates(4, 8)
    assert replicates is not None
    assert replicates > 16
    smallest = p_value(np.arange(4.0), 100 + np.arange(float(replicates)), "float32")
    assert 2 * smallest * 8 < ALPHA
    assert required_replicates(1, 1) is None


def test_false_alarms_are_as_rare_as_stated_and_shifts_are_detected() -> None:
    def draw(seed: int, index: int, shift: float = 0.0) -> Any:
        return np.exp(streams.normals(16, seed, "test", index) + shift)

    recorded = [draw(0, i) for i in range(2000)]
    null = p_values(recorded, [draw(1, i) for i in range(2000)], "float32")
    assert np.mean(null < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(null < ALPHA) < 0.004
    shifted = p_values(recorded, [draw(1, i, 4.0) for i in range(2000)], "float32")
    assert np.mean(shifted < ALPHA / 324) > 0.99


def test_divergence_counts_as_the_largest_error() -> None:
    finite, diverged = np.linspace(1, 2, 16), np.full(16, np.inf)
    assert p_value(diverged, diverged, "float32") == 1
    assert p_value(finite, diverged, "float32") < 1e-5
    assert p_value(finite, finite[::-1], "float32") == 1


def test_differences_due_to_rounding_are_ignored() -> None:
    errors = np.full(16, 3.0)
    assert p_value(errors, errors * (1 + 1e-6), "float32") == 1
    assert p_value(errors, errors * (1 + 1e-6), "float64") < ALPHA


def test_a_doubled_learning_rate_shifts_the_errors_and_a_fresh_seed_does_not(
    study: Study, recorded: Rows
) -> None:
    count = required_replicates(study.replicates, 12)
    assert count
    fresh = train(study, with_fresh_seed(study, count))
    assert min(shift.p_holm for shift in compare_errors(recorded, fresh, study)) > ALPHA
    doubled = train(study, scale_lrs(with_fresh_seed(study, count), 2.0))
    assert min(shift.p_holm for shift in compare_errors(recorded, doubled, study)) < ALPHA


def test_controls_of_a_correct_trainer_come_out_as_expected(
    study: Study, evaluated: Sequence[EvaluatedShard]
) -> None:
    controls = [*run_bits_controls(study, evaluated), *run_statistics_controls(study, evaluated)]
    assert [control.caught for control in controls] == [True, True, True, True, False]
    assert all(control.ok for control in controls)


def test_a_trainer_that_ignores_the_seed_fails_its_control(
    study: Study, evaluated: Sequence[EvaluatedShard], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = streams.random_words
    monkeypatch.setattr(streams, "random_words", lambda n, seed, *rest: original(n, study.seed, *rest))
    by_name = {control.name: control for control in run_bits_controls(study, evaluated)}
    assert not by_name["bits: seed + 1"].ok
    assert by_name["bits: lr × 1.001"].ok


def test_a_trainer_that_ignores_the_learning_rate_fails_its_controls(
    study: Study, evaluated: Sequence[EvaluatedShard], monkeypatch: pytest.MonkeyPatch
) -> None:
    from regress.pipeline import steps

    original = steps.Lane
    monkeypatch.setattr(steps, "Lane", lambda loss, lr: original(loss, 0.03))
    unscaled = execute(study)
    controls = [*run_bits_controls(study, unscaled), *run_statistics_controls(study, unscaled)]
    assert {control.name for control in controls if not control.ok} == {
        "bits: lr × 1.001",
        "statistics: lr × 2",
    }


def test_retraining_without_a_change_gives_equal_bits_and_the_next_seed_wraps(
    study: Study, recorded: Rows
) -> None:
    retrained = train(study, study)
    differences = compare_bits(recorded, retrained, align(recorded, retrained), study.dtype)
    assert differences.count == 0
    assert with_next_seed(study.model_copy(update={"seed": 2**64 - 1})).seed == 0


HOLDS, DRIFTED, INCONCLUSIVE = Verdict.HOLDS, Verdict.DRIFTED, Verdict.INCONCLUSIVE
GOOD, BAD = Control("bits", "a", True, True), Control("bits", "a", False, True)


@pytest.mark.parametrize(
    ("verdicts", "controls", "expected"),
    [
        ([HOLDS, HOLDS, HOLDS, None], [GOOD], HOLDS),
        ([HOLDS, HOLDS, HOLDS, HOLDS], [GOOD, BAD], INCONCLUSIVE),
        ([DRIFTED, HOLDS, HOLDS, HOLDS], [BAD], DRIFTED),
        ([None, HOLDS, INCONCLUSIVE, None], [GOOD], INCONCLUSIVE),
        ([None, DRIFTED, INCONCLUSIVE, None], [GOOD], DRIFTED),
        ([None, None, None, None], [GOOD], INCONCLUSIVE),
    ],
)
def test_verdicts_are_combined(
    verdicts: list[Verdict | None], controls: list[Control], expected: Verdict
) -> None:
    assert combine_verdicts(verdicts, controls) == expected


@given(st.lists(st.sampled_from([*Verdict, None])), st.lists(st.sampled_from([GOOD, BAD])))
def test_a_rerun_holds_only_if_all_checks_and_controls_do(
    verdicts: list[Verdict | None], controls: list[Control]
) -> None:
    holds = combine_verdicts(verdicts, controls) == HOLDS
    assert holds == ({*verdicts} - {None} == {HOLDS} and BAD not in controls)
    if verdicts := [verdict for verdict in verdicts if verdict]:
        assert (worst_verdict([v for v in verdicts if v]) == DRIFTED) == (DRIFTED in verdicts)


def test_differences_between_environments() -> None:
    old = {"packages": {"torch": "2.12", "mlflow": "3.16"}, "torch": {"build": "a\nb\nc"}, "code": "0"}
    new = {
        "packages": {"torch": "2.13", "mlflow": "3.16"},
        "torch": {"build": "a\nx\nc"},
        "code": "0",
        "files": {"a.py": "1"},
        "vector_instructions": "avx",
    }
    differences = diff_environments(old, new)
    assert differences == {
        "packages.torch": ("2.12", "2.13"),
        "torch.build": ("b", "x"),
        "vector_instructions": (None, "avx"),
    }
    assert may_change_bits(differences)
    assert not may_change_bits({"vector_instructions": (None, "avx"), "packages.mlflow": ("1", "2")})
    assert may_change_bits({"processor": ("a", "b")})
    assert not may_change_bits({"processor": ("a", "b")}, is_portable=True)
    for name in ("engine", "packages.numba", "code"):
        assert may_change_bits({name: ("a", "b")}, is_portable=True)
    assert has_processor_changed({"switches": ("", "NUMBA_CPU_NAME=generic")})
    assert not has_processor_changed({"packages.numba": ("1", "2")})
    assert find_changed_files(old, new) is None
    assert find_changed_files({"files": {"a.py": "0", "b.py": "2"}}, new) == ["a.py", "b.py"]


@pytest.mark.parametrize("name", ["default", "stackloss", "ohm"])
def test_oracle_checks_hold_for_shipped_studies(name: str) -> None:
    checks = check_oracles(load(name))
    assert len(checks) >= 2
    assert [check for check in checks if not check.holds] == []


def test_oracle_checks_detect_a_wrong_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from regress.rerun import oracle

    original = oracle.Lane
    monkeypatch.setattr(oracle, "Lane", lambda loss, lr: original(loss, 1.05 * lr))
    failed = {check.statement for check in check_oracles(load("default")) if not check.holds}
    assert failed == {
        "full batches are stable up to 2 / λ_max",
        "a frozen order ends at the fixed point of its epoch",
    }


def test_oracle_checks_apply_only_where_their_assumptions_hold() -> None:
    assert check_oracles(load("planck")) == ()
    assert check_oracles(load("default", ["losses=l1"])) == ()


def test_a_missed_night_is_visible() -> None:
    assert describe_time_since_last(None) == "This is the first verdict on this execution."
    assert "missed" not in describe_time_since_last(24.2)
    assert "2 nights missed" in describe_time_since_last(72.5)


def test_rows_survive_a_round_trip_through_a_table(study: Study, recorded: Rows) -> None:
    parsed = parse_rows(recorded_table(recorded).select(results_schema().names), 3)
    pd.testing.assert_frame_equal(parsed.keys, recorded.keys, check_dtype=False)
    assert compare_bits(parsed, recorded, align(parsed, recorded), study.dtype).count == 0
