"""Differences between two recorded executions: study, environment, code, outcome and rows."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regress.report.outcome import Outcome
from regress.rerun.bits import compare_bits
from regress.rerun.environment_changes import diff_environments, find_changed_files
from regress.rerun.recorded import RecordedExecution
from regress.rerun.rows import align


def diff_executions(
    executions: tuple[RecordedExecution, RecordedExecution], outcomes: tuple[Outcome, Outcome]
) -> dict[str, Any]:
    """Return the differences between two executions as the content of `regress diff --json`.

    Differing values of study, environment and outcome are pairs by name. Rows are compared for the
    trials that both executions have.
    """
    left, right = executions
    differences = compare_bits(left.rows, right.rows, align(left.rows, right.rows), left.study.dtype)
    table = differences.table
    is_unpaired = table["columns"].str.startswith("only ")
    shared = sorted({*left.rows.keys.trial} & {*right.rows.keys.trial})
    first = differences.first if not is_unpaired.any() else None
    environment = diff_environments(left.environment, right.environment)
    return {
        "runs": [left.run_id, right.run_id],
        "study": _unequal_values(*(execution.study.model_dump(mode="json") for execution in executions)),
        "environment": {name: list(change) for name, change in environment.items()},
        "changed_files": find_changed_files(left.environment, right.environment),
        "outcome": _unequal_values(*map(_summarise_outcome, outcomes)),
        "trials": [int(execution.rows.keys.trial.nunique()) for execution in executions],
        "shared_trials": len(shared),
        "differing_trials": int(table.trial[~is_unpaired & table.trial.isin(shared)].nunique()),
        "first_difference": asdict(first) if first else None,
    }


def _unequal_values(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys([*left, *right])
    return {name: [left.get(name), right.get(name)] for name in names if left.get(name) != right.get(name)}


def _summarise_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return the best trial of each contamination and the number of diverged trials."""
    best = {
        f"best under {row.contamination}": f"{row.median:.6g}"
        f" ({row.loss}, {row.lr:g}, {row.sigma:g}, {row.batch_size})"
        for row in outcome.best
    }
    return {**best, "trials that diverged": outcome.diverged_trials}
