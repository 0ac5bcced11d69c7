"""The commands that read recorded executions: `show`, `diff` and `baseline`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import JsonFile, check_writable
from flows.cli.output import new_console, print_result, write_json

if TYPE_CHECKING:
    from mlflow.entities import Run

    from regress.tracking.store import Store


def show(
    run: Annotated[str, typer.Argument(help="An execution's run id, or latest.")] = "latest",
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="List trials by a param or metric; -NAME lists the largest first."
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITIONS",
            help="List only trials that meet e.g. 'loss=huber and lr<1'; with = != < <= > >=.",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the trials with all their params and final metrics as CSV."
        ),
    ] = None,
) -> None:
    """Print the comparison of a recorded execution, or list its trials."""
    from regress.tracking.find import find_execution
    from regress.tracking.read import read_outcome
    from regress.tracking.store import open_store

    check_writable("--csv", csv)
    store = open_store()
    execution = find_execution(store, run)
    if any(option is not None for option in (sort, where, csv)):
        _list_trials(store, execution, sort, where, csv)
    else:
        ids = execution.info.experiment_id, execution.info.run_id
        print_result(new_console(), read_outcome(store, execution), store, *ids)


def diff(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="An execution's run id, or latest.")],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="Another execution's.")],
    json: JsonFile = None,
) -> None:
    """Show what two executions differ in: study, environment, code, outcome."""
    from flows.cli.rerun_tables import show_diff
    from regress.rerun.diff import diff_executions
    from regress.tracking.find import find_execution
    from regress.tracking.read import read_outcome, read_record
    from regress.tracking.store import open_store

    check_writable("--json", json)
    store = open_store()
    runs = (find_execution(store, first), find_execution(store, second))
    left, right = (read_record(store, run) for run in runs)
    outcome_left, outcome_right = (read_outcome(store, run) for run in runs)
    differences = diff_executions((left, right), (outcome_left, outcome_right))
    write_json(json, differences)
    show_diff(new_console(), differences)


def baseline(run: Annotated[str, typer.Argument(help="An execution's run id, or latest.")]) -> None:
    """Make an execution its experiment's baseline for reruns; by default the first one is."""
    from regress.tracking.find import find_execution, pin_baseline
    from regress.tracking.read import read_study
    from regress.tracking.store import open_store

    store = open_store()
    execution = find_execution(store, run)
    name = read_study(store, execution).name
    pin_baseline(store, execution)
    new_console().print(f"The baseline of {name} is {execution.info.run_id}.", highlight=False)


def _list_trials(
    store: "Store", execution: "Run", sort: str | None, where: str | None, csv: Path | None
) -> None:
    from flows.cli.tables import print_trials
    from regress.study.trial_filter import parse_conditions, select, sort_trials
    from regress.tracking.read import read_trials, trials_as_csv

    conditions = () if where is None else parse_conditions(where)
    all_trials = read_trials(store, execution)
    selected = select(all_trials if sort is None else sort_trials(all_trials, sort), conditions)
    names = [condition.name for condition in conditions]
    if sort is not None:
        names.append(sort.removeprefix("-"))
    console = new_console()
    print_trials(console, selected, len(all_trials), names)
    if csv is not None:
        csv.write_text(trials_as_csv(selected), encoding="utf-8")
        console.print(f"Wrote {len(selected):,} trials to {csv}", highlight=False, soft_wrap=True)
