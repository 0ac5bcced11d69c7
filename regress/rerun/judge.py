"""Assembles a rerun's report from what was recorded and what was retrained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regress.rerun.bits import compare_bits
from regress.rerun.checks import judge_bits, judge_oracles, judge_statistics, judge_tolerance
from regress.rerun.controls import Control
from regress.rerun.environment_changes import (
    diff_environments,
    find_changed_files,
    has_processor_changed,
    may_change_bits,
)
from regress.rerun.oracle import OracleCheck
from regress.rerun.recorded import RecordedExecution
from regress.rerun.rows import Rows, align
from regress.rerun.statistics import compare_errors, required_replicates
from regress.rerun.tolerance import (
    Deviations,
    find_discontinuous_trials,
    find_sensitive_trials,
    measure_deviations,
)
from regress.rerun.verdict import RerunReport
from regress.study import Study


@dataclass(frozen=True)
class RerunData:
    """The rows that a rerun trained, and the results of its controls and oracle checks.

    Attributes
    ----------
    retrained
        The study, trained again.
    fresh
        The study with a fresh seed; None where no number of replicates can show a change.
    perturbed
        The study with every feature changed by one rounding; None where all bits are equal.
    """

    retrained: Rows
    fresh: Rows | None
    perturbed: Rows | None
    controls: Sequence[Control]
    oracle_checks: Sequence[OracleCheck]


def has_equal_bits(execution: RecordedExecution, retrained: Rows) -> bool:
    """Return whether the record and the retrained study agree in every bit."""
    pairs = align(execution.rows, retrained)
    return not compare_bits(execution.rows, retrained, pairs, execution.study.dtype).count


def judge(execution: RecordedExecution, rerun: RerunData, environment: Mapping[str, Any]) -> RerunReport:
    """Return the report of a rerun that was run in `environment`."""
    study, recorded, retrained = execution.study, execution.rows, rerun.retrained
    pairs = align(recorded, retrained)
    differences = compare_bits(recorded, retrained, pairs, study.dtype)
    changes = diff_environments(execution.environment, environment)
    by_trial = measure_deviations(recorded, retrained, pairs, study.dtype)
    deviations = Deviations(by_trial, _find_left_out(study, rerun))
    shifts = () if rerun.fresh is None else compare_errors(recorded, rerun.fresh, study)
    replicates = required_replicates(study.replicates, len(study.trials))
    is_portable = all(trial.is_portable for trial in study.trials)
    bits = judge_bits(
        differences,
        study,
        is_comparable=not may_change_bits(changes, is_portable),
        is_other_processor=has_processor_changed(changes),
    )
    return RerunReport(
        run_id=execution.run_id,
        study=study,
        checks={
            "bits": bits,
            "tolerance": judge_tolerance(deviations, study),
            "statistics": judge_statistics(shifts, replicates, study),
            "oracle": judge_oracles(rerun.oracle_checks),
        },
        controls=tuple(rerun.controls),
        differences=differences,
        deviations=deviations,
        shifts=shifts,
        oracle_checks=tuple(rerun.oracle_checks),
        environment=changes,
        changed_files=find_changed_files(execution.environment, environment),
        hours_since_last=execution.hours_since_last,
    )


def _find_left_out(study: Study, rerun: RerunData) -> frozenset[str]:
    """Return the trials that the tolerance check leaves out; none where all bits are equal."""
    if rerun.perturbed is None:
        return frozenset()
    pairs = align(rerun.retrained, rerun.perturbed)
    sensitive = find_sensitive_trials(rerun.retrained, rerun.perturbed, pairs, study.dtype)
    return sensitive | find_discontinuous_trials(study)
