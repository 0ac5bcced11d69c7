"""The commands `run` and `studies`."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.flow_runs import open_experiment, run_flow
from flows.cli.options import JsonFile, check_writable
from flows.cli.output import new_console, print_result, write_json
from flows.cli.process_hooks import ProcessHooks
from flows.cli.study_names import complete_study
from regress.errors import InputError

if TYPE_CHECKING:
    from mlflow.entities import Run

    from regress.study import Study
    from regress.tracking.store import Store


def run(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            help="A shipped study or the path of a YAML file.",
            show_default="default",
            autocompletion=complete_study,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help='Replace a field of the study, e.g. lrs=.003,.03 or \'problem=table(path="my.csv",'
            ' target="y")\'; may be repeated.',
        ),
    ] = None,
    json: JsonFile = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish the newest execution of this study that was interrupted."),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Use the study of a recorded execution, or of latest."),
    ] = None,
) -> None:
    """Train a study's trials and record them in MLflow."""
    check_writable("--json", json)
    hooks = context.ensure_object(ProcessHooks)
    hooks.start_server()
    selected = _select_study(study, source, assignments or [])
    trials = len(selected.trials)
    totals: dict[str, int] = {"models": trials * selected.replicates, "trials": trials}
    store = open_experiment(selected.name, hooks)
    unfinished = _find_unfinished(store, selected) if resume else None
    from flows.robustness import UNFINISHED

    with UNFINISHED.give(unfinished):
        outcome = run_flow("robustness", totals, selected, unfinished is not None)
    write_json(json, outcome)
    from regress.report.outcome import Outcome

    console = new_console()
    recorded = Outcome.from_json(outcome)
    print_result(console, recorded, store, outcome["experiment_id"], outcome["study_run_id"])
    if selected.register:
        from flows.cli.tables import print_model

        print_model(console, outcome["model"])


def studies() -> None:
    """List the shipped studies and the question of each."""
    from rich.table import Table

    from regress.study.load import question, shipped

    table = Table.grid(padding=(0, 3))
    for name, text in shipped().items():
        table.add_row(f"[bold]{name}[/bold]", question(text))
    new_console().print(table)


def _select_study(study: str | None, source: str | None, assignments: list[str]) -> "Study":
    """Return the study to run: a shipped one, a file's or a recorded execution's, with its new fields."""
    from regress.study.load import load, override

    if source is None:
        return load(study or "default", assignments)
    if study is not None:
        raise InputError(f"--from: expected either a study ({study}) or a recorded execution, not both")
    from regress.tracking.find import find_execution
    from regress.tracking.read import read_study
    from regress.tracking.store import open_store

    store = open_store()
    return override(read_study(store, find_execution(store, source)), assignments)


def _find_unfinished(store: "Store", study: "Study") -> "Run | None":
    """Return the execution to resume and print its id; raise InputError if it cannot be resumed."""
    from regress.tracking.unfinished import find_unfinished

    execution = find_unfinished(store, study)
    text = (
        f"No execution of {study.name} is unfinished: a new one starts."
        if execution is None
        else f"Resuming the execution {execution.info.run_id}."
    )
    new_console().print(text, highlight=False)
    return execution
