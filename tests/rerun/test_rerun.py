"""Laws of the comparisons that a rerun rests on."""

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
from regress.rerun.bits import differences, ulps
from regress.rerun.controls import Control, bits_controls, statistics_controls
from regress.rerun.environment_changes import changed_files, changes, is_another_processor, may_change_bits
from regress.rerun.oracle import claims
from regress.rerun.retrain import RoundingPerturbation, faster, results, retrain, with_next_seed, with_seed
from regress.rerun.rows import Rows, align, rows
from regress.rerun.statistics import ALPHA, fresh_replicates, p_values, shifts
from regress.rerun.tolerance import TOLERANCES, Deviations, deviations, jumping, sensitive
from regress.rerun.verdict import Verdict, gap, judge_tolerance, overall, worst
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
    assert ulps(array(x), np.nextafter(array(x), towards)) == 1


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_adjacent_numbers_of_the_shorter_type_are_too(x: float) -> None:
    here = array(x, dtype="float32")
    assert ulps(here, np.nextafter(here, np.float32(np.inf))) == 1


@given(FLOATS, FLOATS)
def test_the_distance_is_symmetric_and_zero_only_between_equals(x: float, y: float) -> None:
    a, b = array(x), array(y)
    assert ulps(a, b) == ulps(b, a)
    are_equal = x == y or (math.isnan(x) and math.isnan(y))
    assert (ulps(a, b) == 0) == are_equal
    assert (ulps(a, b) == np.inf) == (math.isnan(x) != math.isnan(y))


@given(FINITE, st.lists(st.booleans(), max_size=6))
def test_distances_add_up_along_the_line(x: float, steps: list[bool]) -> None:
    here = array(x)
    there = here
    for _ in steps:
        there = np.nextafter(there, np.inf)
    assert ulps(here, there) == len(steps)


def test_known_distances() -> None:
    assert ulps(array(1.0), array(2.0)) == 2**52
    assert ulps(array(1.0, dtype="float32"), array(2.0, dtype="float32")) == 2**23
    assert ulps(array(-5e-324), array(5e-324)) == 2
    assert ulps(array(np.finfo(float).max), array(np.inf)) == 1


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
def again(study: Study) -> list[EvaluatedShard]:
    return execute(study)


@pytest.fixture(scope="module")
def recorded(study: Study, again: list[EvaluatedShard]) -> Rows:
    return results(study, again)


def trained(study: Study, changed: Study, alter: Any = None) -> Rows:
    clean = changed.problem.draw(changed.seed, changed.replicates)
    arguments = () if alter is None else (alter,)
    return results(
        study, [retrain(shard, clean, *arguments) for shard in cut_into_shards(changed)], changed
    )


def with_metric(rows: Rows, place: int, value: float) -> Rows:
    column = rows.metrics["val_loss"].copy()
    column[place] = value
    return replace(rows, metrics=rows.metrics | {"val_loss": column})


def test_a_file_does_not_differ_from_itself(study: Study, recorded: Rows) -> None:
    assert recorded.diverged.any()
    assert not recorded.diverged.all()
    found = differences(recorded, recorded, align(recorded, recorded), study.dtype)
    assert found.count == 0
    assert found.first is None
    assert found.compared == len(recorded) == 12 * 3 * 6


def test_one_ulp_in_one_number_is_found_and_named(study: Study, recorded: Rows) -> None:
    place = 100
    value = recorded.metrics["val_loss"][place]
    other = with_metric(recorded, place, float(np.nextafter(value, np.inf)))
    found = differences(other, recorded, align(other, recorded), study.dtype)
    row = recorded.keys.iloc[place]
    assert found.count == 1
    assert found.first
    assert vars(found.first) == {
        "trial": row.trial,
        "epoch": row.epoch,
        "replicate": row.replicate,
        "ulps": 1,
    }
    assert found.table["columns"].tolist() == ["val_loss"]


def test_parameters_are_counted_in_the_type_they_were_trained_in(study: Study, recorded: Rows) -> None:
    place = int((~recorded.diverged).argmax())
    short = np.float32(recorded.params[place, 0])
    for value, expected in (
        (float(np.nextafter(short, np.float32(np.inf))), 1),
        (float(np.nextafter(float(short), np.inf)), 1),
    ):
        params = recorded.params.copy()
        params[place, 0] = value
        other = replace(recorded, params=params)
        found = differences(other, recorded, align(other, recorded), study.dtype)
        assert found.most == expected


def test_a_missing_and_a_doubled_row_differ(study: Study, recorded: Rows) -> None:
    table = recorded_table(recorded)
    for kept in (table.slice(1), table.take([0, *range(len(table))])):
        other = rows(kept, 3)
        found = differences(other, recorded, align(other, recorded), study.dtype)
        assert found.count == 1
        assert found.first
        assert found.first.ulps is None
        assert found.table["columns"][0].startswith("only")
        assert math.isinf(deviations(other, recorded, align(other, recorded), "float32")[found.first.trial])


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


def test_columns_of_another_kind_are_refused(recorded: Rows) -> None:
    table = recorded_table(recorded).select(results_schema().names)
    assert "its columns are not" in refusal(rows, table.drop_columns(["params"]), 3)
    assert "lists of 4 numbers" in refusal(rows, table, 4)


def test_tolerance_is_met_just_inside_and_not_just_outside(study: Study, recorded: Rows) -> None:
    tolerance = TOLERANCES["float32"]
    place = int((~recorded.diverged).argmax())
    value = float(recorded.metrics["val_loss"][place])
    allowed = tolerance.atol + tolerance.rtol * abs(value)
    for factor, verdict in ((0.99, Verdict.HOLDS), (1.01, Verdict.DRIFTED)):
        other = with_metric(recorded, place, value + factor * allowed)
        off = deviations(recorded, other, align(recorded, other), "float32")
        assert max(off.values()) == pytest.approx(factor)
        assert judge_tolerance(Deviations(off, frozenset()), study).verdict == verdict
        # a trial that rounding moves as far is not judged; where none is left nothing is asked
        assert judge_tolerance(Deviations(off, frozenset(off)), study).verdict is None


def test_diverged_lanes_compare_by_their_flag(recorded: Rows) -> None:
    place = int(recorded.diverged.argmax())
    other = with_metric(recorded, place, 1.0)
    assert max(deviations(recorded, other, align(recorded, other), "float32").values()) == 0
    flags = recorded.diverged.copy()
    flags[place] = False
    other = replace(recorded, diverged=flags)
    assert max(deviations(recorded, other, align(recorded, other), "float32").values()) == np.inf


def test_one_rounding_moves_unstable_trials_and_leaves_stable_ones() -> None:
    study = load("default", ["problem=linear(rows=200, val=20)", "losses=l2,huber", "sigmas=.01"])
    study = study.model_copy(update={"replicates": 2, "orders": study.orders[:1]})
    first = trained(study, study)
    off_by_one = trained(study, study, RoundingPerturbation("float32"))
    moved = sensitive(first, off_by_one, align(first, off_by_one), "float32")
    labels = {trial.digest: (str(trial.loss), trial.lr) for trial in study.trials}
    assert ("huber(delta=1.0)", 3.0) in {labels[trial] for trial in moved}
    assert not {labels[trial] for trial in moved} & {("l2", 0.03), ("l2", 0.003), ("l2", 0.3)}
    assert {str(trial.loss) for trial in study.trials if trial.digest in jumping(study)} == set()


def test_losses_whose_gradient_jumps_are_left_out(study: Study) -> None:
    found = jumping(study)
    assert {str(trial.loss) for trial in study.trials if trial.digest in found} == {"l1"}
    assert {str(trial.loss) for trial in study.trials if trial.digest not in found} == {"l2"}


def test_the_other_seed_has_power_and_a_small_study_needs_more_replicates() -> None:
    assert fresh_replicates(16, 324) == 16
    few = fresh_replicates(4, 8)
    assert few is not None
    assert few > 16
    best = p_value(np.arange(4.0), 100 + np.arange(float(few)), "float32")
    assert 2 * best * 8 < ALPHA
    assert fresh_replicates(1, 1) is None


def test_a_false_alarm_is_as_rare_as_stated_and_a_shift_is_found() -> None:
    def draw(seed: int, index: int, shift: float = 0.0) -> Any:
        return np.exp(streams.normals(16, seed, "test", index) + shift)

    recorded = [draw(0, i) for i in range(2000)]
    null = p_values(recorded, [draw(1, i) for i in range(2000)], "float32")
    assert np.mean(null < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(null < ALPHA) < 0.004
    shifted = p_values(recorded, [draw(1, i, 4.0) for i in range(2000)], "float32")
    assert np.mean(shifted < ALPHA / 324) > 0.99


def test_divergence_counts_as_the_largest_error() -> None:
    finite, gone = np.linspace(1, 2, 16), np.full(16, np.inf)
    assert p_value(gone, gone, "float32") == 1
    assert p_value(finite, gone, "float32") < 1e-5
    assert p_value(finite, finite[::-1], "float32") == 1


def test_what_only_rounding_tells_apart_is_alike() -> None:
    one = np.full(16, 3.0)
    assert p_value(one, one * (1 + 1e-6), "float32") == 1
    assert p_value(one, one * (1 + 1e-6), "float64") < ALPHA


def test_shifts_find_a_changed_trial_among_unchanged_ones(study: Study, recorded: Rows) -> None:
    count = fresh_replicates(study.replicates, 12)
    assert count
    fresh = trained(study, with_seed(study, count))
    assert min(shift.p_holm for shift in shifts(recorded, fresh, study)) > ALPHA
    twice = trained(study, faster(with_seed(study, count), 2.0))
    assert min(shift.p_holm for shift in shifts(recorded, twice, study)) < ALPHA


def test_controls_of_a_sound_trainer_come_out_as_they_must(
    study: Study, again: Sequence[EvaluatedShard]
) -> None:
    controls = [*bits_controls(study, again), *statistics_controls(study, again)]
    assert [control.caught for control in controls] == [True, True, True, True, False]
    assert all(control.ok for control in controls)


def test_a_trainer_that_ignores_the_seed_fails_its_control(
    study: Study, again: Sequence[EvaluatedShard], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = streams.random_words
    monkeypatch.setattr(streams, "random_words", lambda n, seed, *rest: real(n, study.seed, *rest))
    by_name = {control.name: control for control in bits_controls(study, again)}
    assert not by_name["bits: seed + 1"].ok
    assert by_name["bits: lr × 1.001"].ok


def test_a_trainer_that_ignores_the_learning_rate_fails_two(
    study: Study, again: Sequence[EvaluatedShard], monkeypatch: pytest.MonkeyPatch
) -> None:
    from regress.pipeline import steps as module

    real = module.Lane
    monkeypatch.setattr(module, "Lane", lambda loss, lr: real(loss, 0.03))
    unmoved = execute(study)
    controls = [*bits_controls(study, unmoved), *statistics_controls(study, unmoved)]
    assert {control.name for control in controls if not control.ok} == {
        "bits: lr × 1.001",
        "statistics: lr × 2",
    }


def test_no_alteration_leaves_a_trace(study: Study, recorded: Rows) -> None:
    found = differences(
        recorded, trained(study, study), align(recorded, trained(study, study)), study.dtype
    )
    assert found.count == 0
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
def test_one_word_for_all(
    verdicts: list[Verdict | None], controls: list[Control], expected: Verdict
) -> None:
    assert overall(verdicts, controls) == expected


@given(st.lists(st.sampled_from([*Verdict, None])), st.lists(st.sampled_from([GOOD, BAD])))
def test_success_needs_everything_that_was_asked(
    verdicts: list[Verdict | None], controls: list[Control]
) -> None:
    holds = overall(verdicts, controls) == HOLDS
    assert holds == ({*verdicts} - {None} == {HOLDS} and BAD not in controls)
    if verdicts := [verdict for verdict in verdicts if verdict]:
        assert (worst([v for v in verdicts if v]) == DRIFTED) == (DRIFTED in verdicts)


def test_what_differs_of_two_environments() -> None:
    then = {"packages": {"torch": "2.12", "mlflow": "3.16"}, "torch": {"build": "a\nb\nc"}, "code": "0"}
    now = {
        "packages": {"torch": "2.13", "mlflow": "3.16"},
        "torch": {"build": "a\nx\nc"},
        "code": "0",
        "files": {"a.py": "1"},
        "vector_instructions": "avx",
    }
    found = changes(then, now)
    assert found == {
        "packages.torch": ("2.12", "2.13"),
        "torch.build": ("b", "x"),
        "vector_instructions": (None, "avx"),
    }
    assert may_change_bits(found)
    assert not may_change_bits({"vector_instructions": (None, "avx"), "packages.mlflow": ("1", "2")})
    assert may_change_bits({"processor": ("one", "another")})
    assert not may_change_bits({"processor": ("one", "another")}, is_portable=True)
    for name in ("engine", "packages.numba", "code"):
        assert may_change_bits({name: ("one", "another")}, is_portable=True)
    assert is_another_processor({"switches": ("", "NUMBA_CPU_NAME=generic")})
    assert not is_another_processor({"packages.numba": ("1", "2")})
    assert changed_files(then, now) is None
    assert changed_files({"files": {"a.py": "0", "b.py": "2"}}, now) == ["a.py", "b.py"]


@pytest.mark.parametrize("name", ["default", "stackloss", "ohm"])
def test_the_oracle_holds_for_studies_that_ship(name: str) -> None:
    found = claims(load(name))
    assert len(found) >= 2
    assert all(claim.holds for claim in found), [claim for claim in found if not claim.holds]


def test_the_oracle_notices_a_wrong_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from regress.rerun import oracle

    real = oracle.Lane
    monkeypatch.setattr(oracle, "Lane", lambda loss, lr: real(loss, 1.05 * lr))
    failed = {claim.claim for claim in claims(load("default")) if not claim.holds}
    assert failed == {
        "full batches are stable up to 2 / λ_max",
        "a frozen order ends at the fixed point of its epoch",
    }


def test_the_oracle_is_silent_where_it_does_not_apply() -> None:
    assert claims(load("planck")) == ()
    assert claims(load("default", ["losses=l1"])) == ()


def test_a_missed_night_is_visible() -> None:
    assert gap(None) == "The first verdict on this execution."
    assert "missed" not in gap(24.2)
    assert "2 nights missed" in gap(72.5)


def test_the_rows_of_the_helpers_are_those_of_a_file(study: Study, recorded: Rows) -> None:
    other = rows(recorded_table(recorded).select(results_schema().names), 3)
    pd.testing.assert_frame_equal(other.keys, recorded.keys, check_dtype=False)
    assert differences(other, recorded, align(other, recorded), study.dtype).count == 0
