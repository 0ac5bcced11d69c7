"""A rerun put together: from what was recorded and what was retrained to the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regress.rerun.bits import differences
from regress.rerun.controls import Control
from regress.rerun.environment_changes import changed_files, changes, is_another_processor, may_change_bits
from regress.rerun.oracle import OracleCheck
from regress.rerun.recorded import Record
from regress.rerun.rows import Rows, align
from regress.rerun.statistics import fresh_replicates, shifts
from regress.rerun.tolerance import Deviations, deviations, jumping, sensitive
from regress.rerun.verdict import Report, judge_bits, judge_oracle, judge_statistics, judge_tolerance


@dataclass(frozen=True)
class RerunData:
    """What a rerun made: the study again, under another seed, and, if bits differ, rounded otherwise."""

    again: Rows
    fresh: Rows | None  # None where the replicates are too few
    rounded: Rows | None
    controls: Sequence[Control]
    claims: Sequence[OracleCheck]


def is_equal(record: Record, again: Rows) -> bool:
    """Whether the record and the study retrained agree in every bit."""
    return not differences(record.rows, again, align(record.rows, again), record.study.dtype).count


def judge(record: Record, evidence: RerunData, environment: Mapping[str, Any]) -> Report:
    """The report; `environment` is that of the rerun."""
    study, again = record.study, evidence.again
    pairs = align(record.rows, again)
    found = differences(record.rows, again, pairs, study.dtype)
    changed = changes(record.environment, environment)
    left_out = (
        sensitive(again, evidence.rounded, align(again, evidence.rounded), study.dtype) | jumping(study)
        if evidence.rounded is not None
        else frozenset()
    )
    off = Deviations(deviations(record.rows, again, pairs, study.dtype), left_out)
    shifted = () if evidence.fresh is None else shifts(record.rows, evidence.fresh, study)
    is_portable = all(trial.is_portable for trial in study.trials)
    replicates = fresh_replicates(study.replicates, len(study.trials))
    return Report(
        run_id=record.run_id,
        study=study,
        findings={
            "bits": judge_bits(
                found, may_change_bits(changed, is_portable), is_another_processor(changed), study
            ),
            "tolerance": judge_tolerance(off, study),
            "statistics": judge_statistics(shifted, replicates, study),
            "oracle": judge_oracle(evidence.claims),
        },
        controls=tuple(evidence.controls),
        differences=found,
        deviations=off,
        shifts=shifted,
        claims=tuple(evidence.claims),
        environment=changed,
        changed_files=changed_files(record.environment, environment),
        hours_since_last=record.hours_since_last,
    )
