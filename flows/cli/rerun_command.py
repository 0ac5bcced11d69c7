"""The command `reproduce`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.exit_codes import ExitCode
from flows.cli.flow_runs import in_background, run_flow
from flows.cli.options import JsonFile, check_writable
from flows.cli.output import new_console, write_json
from flows.cli.process_hooks import ProcessHooks

if TYPE_CHECKING:
    from regress.rerun.recorded import RecordedExecution
    from regress.study import Study
    from regress.tracking.store import Store


def reproduce(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(help="An execution's run id, latest, or baseline for every experiment's baseline."),
    ] = "baseline",
    json: JsonFile = None,
    history: Annotated[
        bool, typer.Option("--history", help="Train nothing; print the verdicts of earlier reruns.")
    ] = False,
) -> None:
    """Train recorded executions again and report whether their numbers still hold.

    Exits 0 if they do, 1 if they drifted, 3 if the rerun is inconclusive.
    """
    check_writable("--json", json)
    if history:
        _print_history(run, json)
        return
    hooks = context.ensure_object(ProcessHooks)
    hooks.start_server()
    store, executions = _read_executions(run, hooks)
    totals: dict[str, int] = {"models": sum(_min_models(execution.study) for execution in executions)}

    from flows.cli.rerun_tables import show_reruns
    from flows.reproduce import EXECUTIONS, NotReproduced

    try:
        with EXECUTIONS.give(executions):
            outcome = run_flow("reproduce", totals, run)
    except NotReproduced as error:
        outcome = error.outcome
    write_json(json, outcome)
    show_reruns(new_console(), outcome, store)
    if outcome["verdict"] != "HOLDS":
        raise typer.Exit(
            ExitCode.CHECK_FAILED if outcome["verdict"] == "DRIFTED" else ExitCode.INCONCLUSIVE
        )


def _read_executions(run: str, hooks: ProcessHooks) -> "tuple[Store, list[RecordedExecution]]":
    """Return the store and the executions to rerun, read before the flow so that bad input fails no run."""
    from regress.tracking.find import find_executions
    from regress.tracking.read import read_record
    from regress.tracking.store import open_store

    with in_background(hooks.start_session):
        store = open_store()
        return store, [read_record(store, execution) for execution in find_executions(store, run)]


def _min_models(study: "Study") -> int:
    """Return how many models a rerun trains at least: the study's, and those with another seed."""
    from regress.rerun.statistics import required_replicates

    trials = len(study.trials)
    return trials * (study.replicates + (required_replicates(study.replicates, trials) or 0))


def _print_history(run: str, json: Path | None) -> None:
    from flows.cli.rerun_tables import show_history
    from regress.tracking.find import find_execution
    from regress.tracking.rerun_runs import find_reruns
    from regress.tracking.store import open_store

    store = open_store()
    experiment_id = None if run == "baseline" else find_execution(store, run).info.experiment_id
    reruns = find_reruns(store, experiment_id)
    write_json(json, [rerun.as_json() for rerun in reruns])
    show_history(new_console(), reruns)
