"""Reruns as MLflow runs; a rerun and the execution that it repeats name each other in tags."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import pandas as pd
from mlflow.entities import Run

from regress.report.json import to_json
from regress.report.markdown import render_markdown
from regress.rerun.drift_figure import render_drift
from regress.rerun.recorded import RecordedExecution
from regress.rerun.verdict import RerunReport, Verdict
from regress.rerun.verdict_tables import verdict_blocks
from regress.tracking.execution import TAG_LIMIT, Execution, finish_execution, log_files, open_run
from regress.tracking.mlflow_internals import MLFLOW_RUN_NOTE
from regress.tracking.read import REPRODUCES, VERDICT_AT
from regress.tracking.retry import retry_on_disconnect
from regress.tracking.store import Store

VERDICT = "regress.verdict"
_RERUN = "regress.rerun"


@dataclass(frozen=True)
class RecordedRerun:
    """A finished rerun, as recorded."""

    at: datetime
    experiment: str
    reproduces: str
    rerun_id: str
    verdict: str
    verdicts: Mapping[str, str | None]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "at": self.at.isoformat(timespec="seconds")}


@retry_on_disconnect
def begin_rerun(
    store: Store, execution: RecordedExecution, user: str, tags: Mapping[str, str]
) -> Execution:
    """Start the rerun's run, in the experiment of the execution that it repeats.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    name = f"rerun of {execution.study.name}"
    reproduces = {REPRODUCES: execution.run_id}
    return open_run(store, execution.experiment_id, name, "rerun", user, {**reproduces, **tags})


def finish_rerun(rerun: Execution, report: RerunReport, environment: bytes, seconds: float) -> None:
    """Record the verdict and the differences as artifacts, metrics, description and tags; close the run.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    client, address = rerun.store.client, rerun.store.run_address(rerun.experiment_id, report.run_id)
    text = render_markdown(verdict_blocks(report, address))
    content = to_json({"rerun_id": rerun.run_id, **report.as_json()})
    log_files(
        rerun,
        {"verdict.json": content.encode(), "verdict.md": text.encode(), "environment.json": environment},
    )
    log_files(rerun, _difference_files(report))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    verdicts = json.dumps({name: check.verdict for name, check in report.checks.items()})
    tags = {VERDICT: report.verdict, "regress.verdicts": verdicts, MLFLOW_RUN_NOTE: text[:TAG_LIMIT]}
    for name, value in tags.items():
        retry_on_disconnect(client.set_tag)(rerun.run_id, name, value)
    for name, value in {VERDICT: report.verdict, VERDICT_AT: at, _RERUN: rerun.run_id}.items():
        retry_on_disconnect(client.set_tag)(report.run_id, name, value)
    finish_execution(rerun, _metrics(report, seconds))


def find_reruns(store: Store, experiment_id: str | None = None) -> list[RecordedRerun]:
    """Return the finished reruns of one experiment, by default of all, the oldest first."""
    names = {experiment.experiment_id: experiment.name for experiment in store.search_experiments()}
    reruns = store.search_runs(
        [experiment_id] if experiment_id else list(names),
        "tags.`regress.kind` = 'rerun' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC"],
    )
    return [_recorded_rerun(run, names) for run in reruns if VERDICT in run.data.tags]


def _recorded_rerun(run: Run, names: Mapping[str, str]) -> RecordedRerun:
    tags = run.data.tags
    return RecordedRerun(
        at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        experiment=names.get(run.info.experiment_id, run.info.experiment_id),
        reproduces=tags.get(REPRODUCES, ""),
        rerun_id=run.info.run_id,
        verdict=tags[VERDICT],
        verdicts=json.loads(tags.get("regress.verdicts", "{}")),
    )


def _difference_files(report: RerunReport) -> dict[str, bytes]:
    """Return files on differences: the p of each trial, the rows that differ, and their figure."""
    labels = {trial.digest: trial.label for trial in report.study.trials}
    shifts = pd.DataFrame([vars(shift) for shift in report.shifts])
    files = {}
    if len(shifts):
        shifts.insert(1, "label", shifts["trial"].map(labels))
        files["statistics.parquet"] = shifts.to_parquet(index=False)
    if report.differences.count:
        table = report.differences.table
        table = table.assign(label=table["trial"].map(labels))
        files["differences.parquet"] = table.to_parquet(index=False)
        files["plots/drift.png"] = render_drift(report.study, report.differences, report.shifts)
    return files


def _metrics(report: RerunReport, seconds: float) -> dict[str, float]:
    """Return the rerun's finite metrics, which MLflow shows over time."""
    most = report.differences.max_ulps
    values = {
        "holds": float(report.verdict == Verdict.HOLDS),
        "differing_rows": float(report.differences.count),
        "max_ulps": float("nan") if most is None else float(most),
        "tolerances_off": report.deviations.largest,
        "trials_left_out": float(len(report.deviations.left_out)),
        "least_p_holm": min((shift.p_holm for shift in report.shifts), default=float("nan")),
        "controls_failed": float(sum(not control.ok for control in report.controls)),
        "seconds": seconds,
        "hours_since_last_verdict": (
            float("nan") if report.hours_since_last is None else report.hours_since_last
        ),
    }
    return {name: value for name, value in values.items() if isfinite(value)}
