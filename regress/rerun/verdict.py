"""The verdict of a rerun: its checks, its controls and the verdict that combines them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from regress.rerun.bits import Differences
from regress.rerun.controls import Control
from regress.rerun.environment_changes import Change
from regress.rerun.oracle import OracleCheck
from regress.rerun.statistics import Shift
from regress.rerun.tolerance import Deviations
from regress.study import Study


class Verdict(StrEnum):
    """The result of a check or of a whole rerun."""

    HOLDS = "HOLDS"
    DRIFTED = "DRIFTED"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class CheckResult:
    """The verdict of one check, None where the check does not apply, and the reason."""

    verdict: Verdict | None
    reason: str


@dataclass(frozen=True)
class RerunReport:
    """The comparison of a recorded execution with its rerun.

    `checks` are those of bits, tolerance, statistics and oracle. `hours_since_last` is the time since the
    last verdict on the execution, None for the first one.
    """

    run_id: str
    study: Study
    checks: Mapping[str, CheckResult]
    controls: tuple[Control, ...]
    differences: Differences
    deviations: Deviations
    shifts: tuple[Shift, ...]
    oracle_checks: tuple[OracleCheck, ...]
    environment: Mapping[str, Change]
    changed_files: Sequence[str] | None
    hours_since_last: float | None

    @property
    def verdict(self) -> Verdict:
        """The verdict on the execution as a whole."""
        return combine_verdicts([check.verdict for check in self.checks.values()], self.controls)

    def as_json(self) -> dict[str, Any]:
        """Return the content of verdict.json and `regress reproduce --json`."""
        first = self.differences.first
        return {
            "run_id": self.run_id,
            "study": self.study.name,
            "verdict": self.verdict,
            "verdicts": {name: check.verdict for name, check in self.checks.items()},
            "reasons": {name: check.reason for name, check in self.checks.items()},
            "controls": [
                {"name": control.name, "caught": control.caught, "ok": control.ok}
                for control in self.controls
            ],
            "first_difference": asdict(first) if first else None,
            "differing_rows": self.differences.count,
            "max_ulps": self.differences.max_ulps,
            "environment": {name: list(change) for name, change in self.environment.items()},
            "changed_files": None if self.changed_files is None else list(self.changed_files),
            "oracle": [
                {"claim": check.statement, "holds": check.holds, "detail": check.detail}
                for check in self.oracle_checks
            ],
            "hours_since_last_verdict": self.hours_since_last,
        }


def combine_verdicts(verdicts: Sequence[Verdict | None], controls: Sequence[Control]) -> Verdict:
    """Return DRIFTED if any check did, INCONCLUSIVE if a control failed or no check applied, else HOLDS."""
    applied = [verdict for verdict in verdicts if verdict is not None]
    if Verdict.DRIFTED in applied:
        return Verdict.DRIFTED
    if not applied or Verdict.INCONCLUSIVE in applied or not all(control.ok for control in controls):
        return Verdict.INCONCLUSIVE
    return Verdict.HOLDS


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst verdict of several reruns."""
    by_severity = (Verdict.DRIFTED, Verdict.INCONCLUSIVE, Verdict.HOLDS)
    return next(verdict for verdict in by_severity if verdict in verdicts)
