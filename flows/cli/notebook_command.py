"""The command `notebook`."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.exit_codes import ExitCode
from flows.cli.flow_runs import open_experiment, run_flow
from flows.cli.options import JsonFile, check_writable
from flows.cli.output import new_console, write_json
from flows.cli.process_hooks import ProcessHooks

if TYPE_CHECKING:
    pass


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
    from regress.notebook import CONTROL, EXERCISES, REPLICATES, Row, distinct_trials
    from regress.notebook.tables import ensemble_blocks, select_outside, select_undetected

    seeds = replicates or REPLICATES
    models = seeds * len(distinct_trials((*EXERCISES, CONTROL), companions=False))
    totals: dict[str, int] = {"models": models, "exercises": len(EXERCISES) + 1}
    store = open_experiment("notebook", hooks)
    outcome = run_flow("notebook", totals, seeds)
    write_json(json, {name: outcome[name] for name in ("rows", "controls")})

    from flows.cli.tables import print_blocks, print_comparison_url

    console = new_console()
    rows = [Row.from_json(row) for row in outcome["rows"]]
    controls = [Row.from_json(row) for row in outcome["controls"]]
    print_blocks(console, ensemble_blocks(rows, controls))
    run_id = outcome["study_run_id"]
    print_comparison_url(console, store, store.run_address(outcome["experiment_id"], run_id), run_id)
    if select_outside(rows) or select_undetected(controls):
        raise typer.Exit(ExitCode.CHECK_FAILED)
