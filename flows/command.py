"""The `regress` command.

Torch, MLflow and Prefect take seconds to import: each is imported where it is first needed, so that
--help and bad input answer at once.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from regress.errors import InputError

if TYPE_CHECKING:
    from regress.study import Study
    from regress.tracking.store import Store

BAD_INPUT, INTERNAL_ERROR, INTERRUPTED = 2, 70, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which loss, learning rate and initial scale survive outliers and a hostile data order?",
)

_Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="A field over the study's, e.g. lrs=.003,.03 or 'problem=table(path=\"my.csv\","
        ' target="y")\'; may be repeated.',
    ),
]
_Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the outcome as JSON.")
]


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A study that ships, or a path to YAML.")] = "default",
    assignments: _Assignments = None,
    json: _Json = None,
) -> None:
    """Train a study's trials and record them in MLflow."""
    from regress.load import load

    chosen = load(study, assignments or [])
    _check_writable(json)
    prefect = _in_background(_start_prefect)
    try:
        store = _checked_store(chosen)
    finally:
        prefect()

    from flows.console import progress
    from flows.session import run_study

    console = _console()
    trials = len(chosen.trials())
    try:
        with progress(console, {"lanes": trials * chosen.replicates, "trials": trials}) as listener:
            outcome = run_study(chosen, listener)
    except KeyboardInterrupt:
        raise typer.Exit(_say("interrupted", INTERRUPTED)) from None
    if json is not None:
        from regress.outcome import as_json

        json.write_text(as_json(outcome) + "\n")
    _show(console, outcome, store)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="An execution's run id, or latest.")] = "latest",
) -> None:
    """Print the comparison of a recorded execution."""
    from regress.tracking.read import comparison, find_execution
    from regress.tracking.store import open_store

    store = open_store()
    _show(_console(), comparison(store, find_execution(store, run)), store)


@app.command()
def studies() -> None:
    """List the studies that ship, and the question of each."""
    from rich.table import Table

    from regress.load import question, shipped

    table = Table.grid(padding=(0, 3))
    for name, text in shipped().items():
        table.add_row(f"[bold]{name}[/bold]", question(text))
    _console().print(table)


def main() -> None:
    """The console script: every way out has its exit code."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Runs one command line; its exit code."""
    try:
        app(list(arguments))
    except SystemExit as done:  # typer's way out, usage errors included
        return done.code if isinstance(done.code, int) else 0
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except Exception:
        traceback.print_exc()
        return _say("internal error, see above", INTERNAL_ERROR)
    return 0


def _say(sentence: str, code: int) -> int:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"regress: {sentence}")
    return code


def _console() -> Console:
    console = Console()
    # Where nobody watches, no line need fold.
    return console if console.is_terminal else Console(width=128)


def _show(console: Console, outcome: dict[str, Any], store: "Store") -> None:
    from flows.console import show_outcome, show_way

    show_outcome(console, outcome)
    address = store.run_address(outcome["experiment_id"], outcome["study_run_id"])
    show_way(console, outcome, store.ui_command, address)


def _checked_store(study: "Study") -> "Store":
    """The store, checked before a flow starts, so that bad input never becomes a failed run."""
    from regress.tracking.store import experiment, open_store

    store = open_store()
    experiment(store, study.name)
    return store


def _check_writable(file: Path | None) -> None:
    if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
        raise InputError(f"--json: cannot write {file}, expected a file in a folder that exists")


def _start_prefect() -> None:
    from flows.session import start

    start()


def _in_background(work: Callable[[], None]) -> Callable[[], None]:
    """Starts `work` in a thread; the result waits for it and raises what it raised."""
    failure: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()

    def wait() -> None:
        thread.join()
        if failure:
            raise failure[0]

    return wait
