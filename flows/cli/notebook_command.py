"""The command `notebook`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.exit_codes import ExitCode
from flows.cli.flow_runs import open_experiment, run_flow
from flows.cli.options import JsonFile, check_writable
from flows.cli.output import new_console, write_json
from flows.cli.process_hooks import ProcessHooks

if TYPE_CHECKING:
    from tasks.progress import Unit


def notebook(
    context: typer.Context,
    json: JsonFile = None,
    replicates: Annotated[
        int | None, typer.Option(min=2, show_default="10,000", help="Seeds of each exercise.")
    ] = None,
) -> None:
    """Train the notebook's exercises with many seeds and locate each printed number among the results.

    Exits 1 if a printed number is outside, or a control that must be outside is inside.
    """
    check_writable("--json", json)
    hooks = context.ensure_object(ProcessHooks)
    hooks.start_server()
    from regress.notebook import CONTROL, EXERCISES, REPLICATES, distinct_trials

    seeds = replicates or REPLICATES
    models = seeds * len(distinct_trials((*EXERCISES, CONTROL), companions=False))
    totals: dict[Unit, int] = {"lanes": models, "exercises": len(EXERCISES) + 1}
    store = open_experiment("notebook", hooks)
    outcome = run_flow("notebook", totals, seeds)
    write_json(json, {name: outcome[name] for name in ("rows", "controls")})

    from flows.cli.tables import print_comparison_url, show_notebook

    console = new_console()
    show_notebook(console, outcome)
    print_comparison_url(
        console, store, store.run_address(outcome["experiment_id"], outcome["study_run_id"])
    )
    if not _all_as_expected(outcome):
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _all_as_expected(outcome: dict[str, Any]) -> bool:
    """Return whether no printed number is outside its ensemble and every control is."""
    return all(row["inside"] is not False for row in outcome["rows"]) and all(
        row["inside"] is False for row in outcome["controls"]
    )
