"""Reruns as MLflow runs, linked both ways with the executions that they repeat."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import pandas as pd
from mlflow.entities import Run

from regress.plots.drift import drift_plot
from regress.report.outcome import as_json
from regress.rerun.recorded import Record
from regress.rerun.verdict import Report, Verdict, markdown
from regress.tracking.mlflow_internals import MLFLOW_RUN_NOTE
from regress.tracking.read import REPRODUCES, VERDICT_AT
from regress.tracking.record import TAG_LIMIT, Execution, attach, finish, open_run
from regress.tracking.retry import retry_on_disconnect
from regress.tracking.store import Store

VERDICT = "regress.verdict"
_RERUN = "regress.rerun"
_PAGE = 1000


@dataclass(frozen=True)
class Past:
    """A rerun as it is recorded."""

    at: datetime
    experiment: str
    reproduces: str
    rerun_id: str
    verdict: str
    verdicts: Mapping[str, str | None]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "at": self.at.isoformat(timespec="seconds")}


@retry_on_disconnect
def begin_rerun(store: Store, record: Record, user: str, tags: Mapping[str, str]) -> Execution:
    """Opens the rerun's own run, in the experiment of the execution that it repeats."""
    name = f"rerun of {record.study.name}"
    reproduces = {REPRODUCES: record.run_id}
    return open_run(store, record.experiment_id, name, "rerun", user, {**reproduces, **tags})


def finish_rerun(rerun: Execution, report: Report, environment: bytes, seconds: float) -> None:
    """The verdict, the differences and their figure, as artifacts, metrics, description and tags."""
    client, address = rerun.store.client, rerun.store.run_address(rerun.experiment_id, report.run_id)
    text = markdown(report, address)
    content = as_json({"rerun_id": rerun.run_id, **report.as_json()})
    attach(
        rerun,
        {"verdict.json": content.encode(), "verdict.md": text.encode(), "environment.json": environment},
    )
    attach(rerun, _drift(report))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    verdicts = json.dumps({name: finding.verdict for name, finding in report.findings.items()})
    tags = {VERDICT: report.verdict, "regress.verdicts": verdicts, MLFLOW_RUN_NOTE: text[:TAG_LIMIT]}
    for name, value in tags.items():
        retry_on_disconnect(client.set_tag)(rerun.run_id, name, value)
    for name, value in {VERDICT: report.verdict, VERDICT_AT: at, _RERUN: rerun.run_id}.items():
        retry_on_disconnect(client.set_tag)(report.run_id, name, value)
    finish(rerun, _metrics(report, seconds))


def history(store: Store, experiment_id: str | None = None) -> list[Past]:
    """The finished reruns of one experiment, or of all, the oldest first."""
    names = {found.experiment_id: found.name for found in store.client.search_experiments()}
    found: list[Run] = []
    page = None
    while page is None or page:
        runs = store.client.search_runs(
            [experiment_id] if experiment_id else list(names),
            "tags.`regress.kind` = 'rerun' and attributes.status = 'FINISHED'",
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=page,
        )
        found += runs
        page = runs.token or ""
    return [_past(run, names) for run in found if VERDICT in run.data.tags]


def _past(run: Run, names: Mapping[str, str]) -> Past:
    tags = run.data.tags
    return Past(
        at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        experiment=names.get(run.info.experiment_id, run.info.experiment_id),
        reproduces=tags.get(REPRODUCES, ""),
        rerun_id=run.info.run_id,
        verdict=tags[VERDICT],
        verdicts=json.loads(tags.get("regress.verdicts", "{}")),
    )


def _drift(report: Report) -> dict[str, bytes]:
    """The p of each trial; where rows differ, which, and the figure."""
    labels = {trial.digest: trial.label for trial in report.study.trials()}
    shifts = pd.DataFrame([vars(shift) for shift in report.shifts])
    files = {}
    if len(shifts):
        shifts.insert(1, "label", shifts["trial"].map(labels))
        files["statistics.parquet"] = shifts.to_parquet(index=False)
    if report.differences.count:
        table = report.differences.table
        table = table.assign(label=table["trial"].map(labels))
        files["differences.parquet"] = table.to_parquet(index=False)
        files["plots/drift.png"] = drift_plot(report.study, report.differences, report.shifts)
    return files


def _metrics(report: Report, seconds: float) -> dict[str, float]:
    """Numbers to follow over time; what is not finite is left out."""
    most = report.differences.most
    every = {
        "holds": float(report.verdict == Verdict.HOLDS),
        "differing_rows": float(report.differences.count),
        "max_ulps": float("nan") if most is None else float(most),
        "tolerances_off": report.deviations.most,
        "trials_left_out": float(len(report.deviations.left_out)),
        "least_p_holm": min((shift.p_holm for shift in report.shifts), default=float("nan")),
        "controls_failed": float(sum(not control.ok for control in report.controls)),
        "seconds": seconds,
        "hours_since_last_verdict": (
            float("nan") if report.hours_since_last is None else report.hours_since_last
        ),
    }
    return {name: value for name, value in every.items() if isfinite(value)}
