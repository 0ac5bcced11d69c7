"""The four checks of a rerun: each turns a comparison into a verdict and a reason."""

from collections.abc import Sequence

from regress.report.format import format_number
from regress.rerun.bits import Differences
from regress.rerun.oracle import OracleCheck
from regress.rerun.statistics import ALPHA, Shift, significant_shifts
from regress.rerun.tolerance import TOLERANCES, Deviations
from regress.rerun.verdict import CheckResult, Verdict
from regress.study import Study


def judge_bits(
    differences: Differences, study: Study, *, is_comparable: bool, is_other_processor: bool = False
) -> CheckResult:
    """Judge whether all bits are equal.

    The check does not apply if the environment or the code changed in a way that may change bits.
    """
    if differences.count:
        reason = _describe_differences(differences, study)
    else:
        reason = f"all {_count(differences.compared, 'row')} are equal bit for bit"
    if not is_comparable:
        return CheckResult(None, f"the environment or the code has changed; {reason}")
    if differences.count:
        return CheckResult(Verdict.DRIFTED, reason)
    return CheckResult(Verdict.HOLDS, reason + (", on another processor" if is_other_processor else ""))


def judge_tolerance(deviations: Deviations, study: Study) -> CheckResult:
    """Judge whether all trials that rounding does not move are within the tolerance."""
    tolerance = TOLERANCES[study.dtype]
    terms = f"rtol {tolerance.rtol:g}, atol {tolerance.atol:g}"
    left_out = len(deviations.left_out)
    note = f"; {_count(left_out, 'trial')} left out as sensitive to rounding" if left_out else ""
    checked = deviations.checked
    if not checked:
        return CheckResult(None, f"no trial remains to be checked{note}")
    outside = [trial for trial, deviation in checked.items() if deviation > 1]
    largest = f"largest deviation {format_number(deviations.largest)} times the tolerance"
    if not outside:
        return CheckResult(
            Verdict.HOLDS, f"{_count(len(checked), 'trial')} within {terms}, {largest}{note}"
        )
    farthest = max(outside, key=checked.__getitem__)
    return CheckResult(
        Verdict.DRIFTED,
        f"{len(outside):,} of {_count(len(checked), 'trial')} outside {terms}; {largest}:"
        f" {_describe_trial(study, farthest)}{note}",
    )


def judge_statistics(shifts: Sequence[Shift], replicates: int | None, study: Study) -> CheckResult:
    """Judge whether any trial's errors have another distribution with a fresh seed."""
    trials = _count(len(study.trials), "trial")
    if replicates is None:
        recorded = _count(study.replicates, "replicate")
        return CheckResult(None, f"{recorded} cannot show a change in {trials}")
    if not shifts:
        return CheckResult(Verdict.INCONCLUSIVE, "no recorded trial is among the retrained ones")
    terms = f"{study.replicates} recorded and {replicates} fresh replicates, Holm over {trials}"
    significant = significant_shifts(shifts)
    if not significant:
        smallest = min(shift.p_holm for shift in shifts)
        return CheckResult(
            Verdict.HOLDS,
            f"no trial's errors have another distribution: smallest adjusted p {smallest:.2g} ({terms})",
        )
    first = significant[0]
    return CheckResult(
        Verdict.DRIFTED,
        f"the errors of {_count(len(significant), 'trial')} have another distribution"
        f" (adjusted p < {ALPHA:g}; {terms}); most significant: {_describe_trial(study, first.trial)},"
        f" median error {format_number(first.recorded)} recorded, {format_number(first.fresh)} fresh,"
        f" adjusted p {first.p_holm:.1g}",
    )


def judge_oracles(checks: Sequence[OracleCheck]) -> CheckResult:
    """Judge whether theory and published fits hold."""
    if not checks:
        return CheckResult(None, "no theory or published fit applies to this study")
    failed = [check for check in checks if not check.holds]
    if not failed:
        return CheckResult(Verdict.HOLDS, "; ".join(check.statement for check in checks))
    return CheckResult(
        Verdict.DRIFTED,
        "; ".join(f"does not hold: {check.statement} ({check.detail})" for check in failed),
    )


def _describe_differences(differences: Differences, study: Study) -> str:
    first, ulps = differences.first, differences.max_ulps
    assert first
    distance = "" if ulps is None else f", by at most {_count(ulps, 'ULP')}"
    return (
        f"{differences.count:,} of {_count(differences.compared, 'row')} differ,"
        f" in {_count(differences.trial_count, 'trial')}{distance};"
        f" the first is epoch {first.epoch}, replicate {first.replicate}"
        f" of {_describe_trial(study, first.trial)}: {differences.table['columns'].iloc[0]}"
    )


def _describe_trial(study: Study, digest: str) -> str:
    """Return a trial's digest and, if the study has it, its label."""
    label = next((trial.label for trial in study.trials if trial.digest == digest), None)
    return f"{digest} ({label})" if label else digest


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
