"""What a rerun comes to: four verdicts, the controls, one word for all."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from regress.report.format import format_number
from regress.rerun.bits import Differences
from regress.rerun.controls import Control
from regress.rerun.environment_changes import Change
from regress.rerun.oracle import OracleCheck
from regress.rerun.statistics import ALPHA, Shift, changed
from regress.rerun.tolerance import TOLERANCES, Deviations
from regress.study import Study


class Verdict(StrEnum):
    HOLDS = "HOLDS"
    DRIFTED = "DRIFTED"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Finding:
    """One verdict, None where it was not asked, and why."""

    verdict: Verdict | None
    reason: str


@dataclass(frozen=True)
class Report:
    """A recorded execution against its rerun."""

    run_id: str
    study: Study
    findings: Mapping[str, Finding]  # of bits, tolerance, statistics, oracle
    controls: tuple[Control, ...]
    differences: Differences
    deviations: Deviations
    shifts: tuple[Shift, ...]
    claims: tuple[OracleCheck, ...]
    environment: Mapping[str, Change]
    changed_files: Sequence[str] | None
    hours_since_last: float | None  # None where this is the first verdict

    @property
    def verdict(self) -> Verdict:
        return overall([finding.verdict for finding in self.findings.values()], self.controls)

    def as_json(self) -> dict[str, Any]:
        first = self.differences.first
        return {
            "run_id": self.run_id,
            "study": self.study.name,
            "verdict": self.verdict,
            "verdicts": {name: finding.verdict for name, finding in self.findings.items()},
            "reasons": {name: finding.reason for name, finding in self.findings.items()},
            "controls": [
                {"name": control.name, "caught": control.caught, "ok": control.ok}
                for control in self.controls
            ],
            "first_difference": asdict(first) if first else None,
            "differing_rows": self.differences.count,
            "max_ulps": self.differences.most,
            "environment": {name: list(change) for name, change in self.environment.items()},
            "changed_files": None if self.changed_files is None else list(self.changed_files),
            "oracle": [
                {"claim": claim.claim, "holds": claim.holds, "detail": claim.detail}
                for claim in self.claims
            ],
            "hours_since_last_verdict": self.hours_since_last,
        }


def overall(verdicts: Sequence[Verdict | None], controls: Sequence[Control]) -> Verdict:
    """Drifted if anything asked has; inconclusive if a control failed or nothing was asked."""
    asked = [verdict for verdict in verdicts if verdict is not None]
    if Verdict.DRIFTED in asked:
        return Verdict.DRIFTED
    if not asked or Verdict.INCONCLUSIVE in asked or not all(control.ok for control in controls):
        return Verdict.INCONCLUSIVE
    return Verdict.HOLDS


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Of several reruns the one word for all."""
    return next(v for v in (Verdict.DRIFTED, Verdict.INCONCLUSIVE, Verdict.HOLDS) if v in verdicts)


def judge_bits(found: Differences, may_differ: bool, another_processor: bool, study: Study) -> Finding:
    if may_differ:
        said = _differing(found, study) if found.count else f"{found.compared:,} rows agree bit for bit"
        return Finding(None, f"the environment or the code is another; {said}")
    if not found.count:
        where = ", on another processor" if another_processor else ""
        return Finding(Verdict.HOLDS, f"{found.compared:,} rows, bit for bit{where}")
    return Finding(Verdict.DRIFTED, _differing(found, study))


def _differing(found: Differences, study: Study) -> str:
    first = found.first
    assert first
    far = "" if found.most is None else f", at most {_count(found.most, 'ULP')} apart"
    return (
        f"{found.count:,} of {_count(found.compared, 'row')} not the same, in {_trials(found.trials)}{far};"
        f" the first is epoch {first.epoch}, replicate {first.replicate} of {label(study, first.trial)}:"
        f" {found.table['columns'].iloc[0]}"
    )


def judge_tolerance(off: Deviations, study: Study) -> Finding:
    stated = TOLERANCES[study.dtype]
    terms = f"rtol {stated.rtol:g}, atol {stated.atol:g}"
    aside = (
        f"; {_trials(len(off.left_out))} left out that rounding alone moves as much" if off.left_out else ""
    )
    if not off.judged:
        return Finding(None, f"no trial is left to judge{aside}")
    outside = sorted(
        (trial for trial, value in off.judged.items() if value > 1), key=lambda t: -off.judged[t]
    )
    if not outside:
        return Finding(
            Verdict.HOLDS,
            f"{_trials(len(off.judged))} within {terms}, at most {format_number(off.most)} of it{aside}",
        )
    return Finding(
        Verdict.DRIFTED,
        f"{len(outside):,} of {_trials(len(off.judged))} outside {terms}; most by {format_number(off.most)}"
        f" times it: {label(study, outside[0])}{aside}",
    )


def judge_statistics(shifts: Sequence[Shift], replicates: int | None, study: Study) -> Finding:
    if replicates is None:
        return Finding(
            None, f"{study.replicates} replicates are too few to tell {_trials(len(study.trials))}"
        )
    if not shifts:
        return Finding(Verdict.INCONCLUSIVE, "no recorded trial is among those retrained")
    terms = (
        f"{study.replicates} recorded against {replicates} fresh replicates,"
        f" Holm over {_trials(len(study.trials))}"
    )
    if not (found := changed(shifts)):
        least = min(shift.p_holm for shift in shifts)
        return Finding(Verdict.HOLDS, f"no error is distributed otherwise: {terms}, least p {least:.2g}")
    first = found[0]
    return Finding(
        Verdict.DRIFTED,
        f"{_trials(len(found))} distributed otherwise (p < {ALPHA:g}; {terms}), the surest"
        f" {label(study, first.trial)}: median error {format_number(first.recorded)},"
        f" now {format_number(first.fresh)}, p {first.p_holm:.1g}",
    )


def judge_oracle(claims: Sequence[OracleCheck]) -> Finding:
    if not claims:
        return Finding(None, "no theory or published fit applies to this study")
    if not (wrong := [claim for claim in claims if not claim.holds]):
        return Finding(Verdict.HOLDS, "; ".join(claim.claim for claim in claims))
    return Finding(Verdict.DRIFTED, "; ".join(f"not so: {claim.claim} ({claim.detail})" for claim in wrong))


def label(study: Study, digest: str) -> str:
    """A trial's digest and what it is, if it is one of the study's."""
    found = next((trial.label for trial in study.trials if trial.digest == digest), None)
    return f"{digest} ({found})" if found else digest


def markdown(report: Report, address: str | None = None) -> str:
    """The verdict as a table, with what differs of the environment, and a link to what was rerun."""
    shown = f"[{report.run_id}]({address})" if address else report.run_id
    lines = [f"**{report.verdict}**: {report.study.name}, execution {shown}, trained again.", ""]
    lines += ["| | verdict | |", "|---|---|---|"]
    lines += [
        f"| {name} | {finding.verdict or 'not asked'} | {_cell(finding.reason)} |"
        for name, finding in report.findings.items()
    ]
    lines += ["", "| control | caught | |", "|---|---|---|"]
    lines += [
        f"| {control.name} | {'yes' if control.caught else 'no'} |"
        f" {'as it must be' if control.ok else '**FAILED**'} |"
        for control in report.controls
    ]
    lines += ["", gap(report.hours_since_last), ""]
    if report.environment:
        lines += ["| environment | then | now |", "|---|---|---|"]
        lines += [
            f"| {name} | {_cell(then)} | {_cell(now)} |" for name, (then, now) in report.environment.items()
        ]
    if report.changed_files:
        lines += ["", f"Files that differ: {', '.join(f'`{name}`' for name in report.changed_files)}."]
    return "\n".join(lines).rstrip() + "\n"


def gap(hours: float | None) -> str:
    """How long ago the last verdict was, so that a night that was missed is seen."""
    if hours is None:
        return "The first verdict on this execution."
    missed = f", {round(hours / 24) - 1} nights missed" if hours >= 36 else ""
    return f"The last verdict was {hours:.1f} hours ago{missed}."


def _trials(count: int) -> str:
    return _count(count, "trial")


def _count(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def _cell(text: str | None) -> str:
    short = "–" if text is None else text if len(text) <= 300 else text[:299] + "…"
    return short.replace("|", "\\|").replace("\n", " ")
