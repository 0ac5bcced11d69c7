"""Two recorded executions apart: study, environment, code, outcome."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from regress.report.outcome import Outcome
from regress.rerun.bits import differences
from regress.rerun.environment_changes import changed_files, changes
from regress.rerun.recorded import Record
from regress.rerun.rows import align

Side = tuple[Record, Outcome]


def apart(one: Side, other: Side) -> dict[str, Any]:
    """What differs, each thing by name with its two values; the rows of the trials that both have."""
    (record_a, outcome_a), (record_b, outcome_b) = one, other
    pairs = align(record_a.rows, record_b.rows)
    found = differences(record_a.rows, record_b.rows, pairs, record_a.study.dtype)
    alone = found.table["columns"].str.startswith("only ")
    shared = sorted({*record_a.rows.keys.trial} & {*record_b.rows.keys.trial})
    first = found.first if not alone.any() else None
    return {
        "runs": [record_a.run_id, record_b.run_id],
        "study": _fields(record_a, record_b),
        "environment": {k: list(v) for k, v in changes(record_a.environment, record_b.environment).items()},
        "changed_files": changed_files(record_a.environment, record_b.environment),
        "outcome": _outcomes(outcome_a, outcome_b),
        "trials": [int(record.rows.keys.trial.nunique()) for record in (record_a, record_b)],
        "shared_trials": len(shared),
        "differing_trials": int(found.table.trial[~alone & found.table.trial.isin(shared)].nunique()),
        "first_difference": asdict(first) if first else None,
    }


def _fields(one: Record, other: Record) -> dict[str, list[Any]]:
    fields = [record.study.model_dump(mode="json") for record in (one, other)]
    return _unequal(*fields)


def _outcomes(one: Outcome, other: Outcome) -> dict[str, list[Any]]:
    """Return the winner of each contamination and the number of diverged trials, where they differ."""
    return _unequal(_headline(one), _headline(other))


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys([*one, *other])
    return {name: [one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name)}


def _headline(outcome: Outcome) -> dict[str, Any]:
    best = {
        f"best under {row.contamination}": f"{row.median:.6g}"
        f" ({row.loss}, {row.lr:g}, {row.sigma:g}, {row.batch_size})"
        for row in outcome.best
    }
    return {**best, "trials that diverged": outcome.diverged_trials}
