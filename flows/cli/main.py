"""The `regress` command.

Torch, MLflow and Prefect take seconds to import: each is imported where it is first needed, so that
--help and bad input answer at once.
"""

import gc
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from regress.errors import InputError, ServiceLost

if TYPE_CHECKING:
    from mlflow.entities import Run

    from regress.report.outcome import Outcome
    from regress.study import Study
    from regress.tracking.store import Store

OUTSIDE = DRIFTED = UNWELL = 1
BAD_INPUT, INCONCLUSIVE, INTERNAL_ERROR, LOST, INTERRUPTED = 2, 3, 70, 75, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which loss, learning rate and initial scale survive outliers and a hostile data order?",
)


class _Interrupted(Exception):
    """Somebody asked the command to end."""


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
    study: Annotated[
        str | None,
        typer.Argument(help="A study that ships, or a path to YAML.", show_default="default"),
    ] = None,
    assignments: _Assignments = None,
    json: _Json = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish the newest execution of this study that was interrupted."),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Take the study of a recorded execution, or latest."),
    ] = None,
) -> None:
    """Train a study's trials and record them in MLflow."""
    _check_writable("--json", json)
    _start_server()
    chosen = _chosen(study, source, assignments or [])
    trials = len(chosen.trials)
    totals: dict[str, int] = {"models": trials * chosen.replicates, "trials": trials}
    store = _open(chosen.name)
    if resume:
        _say_what_is_resumed(store, chosen)
    outcome = _run_flow("robustness", totals, chosen, resume)
    _write_json(json, outcome)
    console = _console()
    from regress.report.outcome import Outcome

    _show(console, Outcome.from_json(outcome), store, outcome["experiment_id"], outcome["study_run_id"])
    if chosen.register:
        from flows.cli.tables import print_model

        print_model(console, outcome["model"])


@app.command()
def notebook(
    json: _Json = None,
    replicates: Annotated[
        int | None, typer.Option(min=2, show_default="10,000", help="Seeds of each exercise.")
    ] = None,
) -> None:
    """Run the notebook's exercises and find each number that it printed in its ensemble."""
    _check_writable("--json", json)
    _start_server()
    from regress.notebook import CONTROL, EXERCISES, REPLICATES, Row, distinct_trials
    from regress.notebook.tables import ensemble_blocks, outside, undetected

    seeds = replicates or REPLICATES
    models = seeds * len(distinct_trials((*EXERCISES, CONTROL), companions=False))
    totals: dict[str, int] = {"models": models, "exercises": len(EXERCISES) + 1}
    store = _open("notebook")
    outcome = _run_flow("notebook", totals, seeds)
    _write_json(json, {name: outcome[name] for name in ("rows", "controls")})

    from flows.cli.tables import print_blocks, print_comparison_url

    console = _console()
    rows = [Row.from_json(row) for row in outcome["rows"]]
    controls = [
        Row.from_json({name: value for name, value in row.items() if name != "expected"})
        for row in outcome["controls"]
    ]
    print_blocks(console, ensemble_blocks(rows, controls))
    print_comparison_url(
        console, store, store.run_address(outcome["experiment_id"], outcome["study_run_id"])
    )
    if outside(rows) or undetected(controls):
        raise typer.Exit(OUTSIDE)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="An execution's run id, or latest.")] = "latest",
    sort: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="List trials by a param or metric; from the largest with -NAME."),
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
        typer.Option(metavar="FILE", help="Write the trials, each with all its params and final metrics."),
    ] = None,
) -> None:
    """Print the comparison of a recorded execution, or list its trials."""
    from regress.tracking.read import find_execution, read_outcome
    from regress.tracking.store import open_store

    _check_writable("--csv", csv)
    store = open_store()
    execution = find_execution(store, run)
    if any(option is not None for option in (sort, where, csv)):
        _list_trials(store, execution, sort, where, csv)
    else:
        ids = execution.info.experiment_id, execution.info.run_id
        _show(_console(), read_outcome(store, execution), store, *ids)


@app.command()
def reproduce(
    run: Annotated[
        str, typer.Argument(help="An execution's run id, latest, or baseline for every experiment's.")
    ] = "baseline",
    json: _Json = None,
    history: Annotated[
        bool, typer.Option("--history", help="Train nothing; print the verdicts so far.")
    ] = False,
) -> None:
    """Train recorded executions again: do their numbers still hold?

    Exits 0 where they do, 1 where they drifted, 3 where nothing was proved.
    """
    _check_writable("--json", json)
    if history:
        _show_history(run, json)
        return
    _start_server()
    from regress.tracking.read import find_executions, read_record
    from regress.tracking.store import open_store

    prefect = _in_background(_start_prefect)
    try:  # bad input never becomes a failed run
        store = open_store()
        records = [read_record(store, execution) for execution in find_executions(store, run)]
    finally:
        prefect()
    totals: dict[str, int] = {"models": sum(_lanes(one.study) for one in records)}

    from flows.cli.rerun_tables import show_reruns
    from flows.reproduce import NotReproduced

    try:
        outcome = _run_flow("reproduce", totals, run)
    except NotReproduced as failed:
        outcome = failed.outcome
    _write_json(json, outcome)
    show_reruns(_console(), outcome, store)
    if outcome["verdict"] != "HOLDS":
        raise typer.Exit(DRIFTED if outcome["verdict"] == "DRIFTED" else INCONCLUSIVE)


@app.command()
def baseline(run: Annotated[str, typer.Argument(help="An execution's run id, or latest.")]) -> None:
    """Pin the execution that its experiment's reruns are held against; by itself it is the first."""
    from regress.tracking.read import find_execution, pin_baseline, read_study
    from regress.tracking.store import open_store

    store = open_store()
    execution = find_execution(store, run)
    name = read_study(store, execution).name
    pin_baseline(store, execution)
    _console().print(f"The baseline of {name} is {execution.info.run_id}.", highlight=False)


@app.command()
def diff(
    one: Annotated[str, typer.Argument(metavar="RUN_A", help="An execution's run id, or latest.")],
    other: Annotated[str, typer.Argument(metavar="RUN_B", help="Another's.")],
    json: _Json = None,
) -> None:
    """Show what two executions differ in: study, environment, code, outcome."""
    from flows.cli.rerun_tables import show_apart
    from regress.rerun.diff import apart
    from regress.tracking.read import find_execution, read_outcome, read_record
    from regress.tracking.store import open_store

    _check_writable("--json", json)
    store = open_store()
    found = [find_execution(store, run) for run in (one, other)]
    sides = [(read_record(store, run), read_outcome(store, run)) for run in found]
    differences = apart(*sides)
    _write_json(json, differences)
    show_apart(_console(), differences)


@app.command()
def studies() -> None:
    """List the studies that ship, and the question of each."""
    from rich.table import Table

    from regress.study.load import question, shipped

    table = Table.grid(padding=(0, 3))
    for name, text in shipped().items():
        table.add_row(f"[bold]{name}[/bold]", question(text))
    _console().print(table)


@app.command()
def up(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Listen there.", show_default="127.0.0.1")
    ] = None,
    prefect_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Prefect's.", show_default="4200")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="MLflow's.", show_default="5000")
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(
            metavar="USER:PASSWORD",
            envvar="REGRESS_LOGIN",
            help="Ask for it at both servers; needed to listen beyond this machine.",
        ),
    ] = None,
    notify_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A webhook to tell when a reproduction fails.")
    ] = None,
) -> None:
    """Start Prefect, MLflow and a worker, and deploy what prefect.yaml holds."""
    from flows.services.up import Options, bring_up

    bring_up(Options(host, prefect_port, mlflow_port, login), notify_url, _saying(_console()))


@app.command()
def down() -> None:
    """Stop what `up` has started."""
    from flows.services.down import take_down

    take_down(_saying(_console()))


@app.command()
def doctor() -> None:
    """Say what is reachable, in which version, and what would fail."""
    from flows.services.doctor import examine

    console = _console()
    is_well = True
    for finding in examine():
        is_well &= finding.is_well
        verdict = "[green]ok[/]  " if finding.is_well else "[bold red]FAIL[/]"
        console.print(
            f"{verdict}  {finding.what:<12} {escape(finding.text)}", highlight=False, soft_wrap=True
        )
    if not is_well:
        raise typer.Exit(UNWELL)


def main() -> None:
    """The console script: every way out has its exit code."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # a polite end is an end, whoever asks
    code = execute(sys.argv[1:])
    gc.freeze()  # or the interpreter looks through all of torch and MLflow before it ends: a second
    sys.exit(code)


def execute(arguments: Sequence[str]) -> int:
    """Runs one command line; its exit code."""
    try:
        app(list(arguments))
    except SystemExit as done:  # typer's way out, usage errors included
        return done.code if isinstance(done.code, int) else 0
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except _Interrupted:
        return _say(f"interrupted{_way_back(arguments)}", INTERRUPTED)
    except ServiceLost as error:
        return _say(f"{error}{_way_back(arguments)}", LOST)
    except Exception:
        traceback.print_exc()
        return _say("internal error, see above", INTERNAL_ERROR)
    return 0


def _way_back(arguments: Sequence[str]) -> str:
    """What to add to a sentence that ends a command which can be resumed."""
    if not arguments or arguments[0] != "run":
        return ""
    again = [argument for argument in arguments if argument != "--resume"]
    return f"; resume with: regress {shlex.join([*again, '--resume'])}"


def _say(sentence: str, code: int) -> int:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"regress: {sentence}")
    return code


def _console() -> Console:
    console = Console()
    # Where nobody watches, no line need fold.
    return console if console.is_terminal else Console(width=140)


def _saying(console: Console) -> Callable[[str, str], None]:
    return lambda what, became: console.print(
        f"{what:<12} {escape(became)}", highlight=False, soft_wrap=True
    )


def _show(console: Console, outcome: "Outcome", store: "Store", experiment_id: str, run_id: str) -> None:
    from flows.cli.tables import print_comparison_url, print_outcome
    from regress.tracking.view import way

    print_outcome(console, outcome)
    print_comparison_url(console, store, way(store, experiment_id, run_id))
    console.print(f"Show this again: [bold]regress show {run_id}[/bold]", highlight=False)


def _chosen(study: str | None, source: str | None, assignments: list[str]) -> "Study":
    """The study to run: one that ships, a file's, or a recorded execution's."""
    from regress.study.load import load, override

    if source is None:
        return load(study or "default", assignments)
    if study is not None:
        raise InputError(f"--from: expected either a study ({study}) or a recorded execution, not both")
    from regress.tracking.read import find_execution, read_study
    from regress.tracking.store import open_store

    store = open_store()
    return override(read_study(store, find_execution(store, source)), assignments)


def _lanes(study: "Study") -> int:
    """Models that a rerun trains at least: all of the study, and those of another seed."""
    from regress.rerun.statistics import fresh_replicates

    trials = len(study.trials)
    return trials * (study.replicates + (fresh_replicates(study.replicates, trials) or 0))


def _show_history(run: str, json: Path | None) -> None:
    from flows.cli.rerun_tables import show_history
    from regress.tracking.read import find_execution
    from regress.tracking.rerun_runs import find_reruns
    from regress.tracking.store import open_store

    store = open_store()
    chosen = None if run == "baseline" else find_execution(store, run).info.experiment_id
    past = find_reruns(store, chosen)
    _write_json(json, [one.as_json() for one in past])
    show_history(_console(), past)


def _list_trials(
    store: "Store", execution: "Run", sort: str | None, where: str | None, csv: Path | None
) -> None:
    from flows.cli.tables import print_trials
    from regress.study.trial_filter import arrange, parse_conditions, select
    from regress.tracking.read import read_trials, trials_as_csv

    conditions = () if where is None else parse_conditions(where)
    every = read_trials(store, execution)
    rows = select(every if sort is None else arrange(every, sort), conditions)
    console = _console()
    named = [condition.name for condition in conditions]
    print_trials(console, rows, len(every), named if sort is None else [*named, sort.removeprefix("-")])
    if csv is not None:
        csv.write_text(trials_as_csv(rows), encoding="utf-8")
        console.print(f"Wrote {len(rows):,} trials to {csv}", highlight=False, soft_wrap=True)


def _open(name: str) -> "Store":
    """The store, with the experiment `name` in it, and Prefect started beside.

    Checked before a flow starts, so that bad input never becomes a failed run.
    """
    prefect = _in_background(_start_prefect)
    try:
        from regress.tracking.store import get_or_create_experiment, open_store

        store = open_store()
        get_or_create_experiment(store, name)
        return store
    finally:
        prefect()


def _say_what_is_resumed(store: "Store", study: "Study") -> None:
    """Raises InputError where what is left cannot be resumed."""
    from regress.tracking.unfinished import find_unfinished

    left = find_unfinished(store, study)
    if left is None:
        _console().print(f"No execution of {study.name} is unfinished: a new one starts.", highlight=False)
    else:
        _console().print(f"Resuming the execution {left.info.run_id}.", highlight=False)


def _run_flow(flow: str, totals: "dict[str, int]", *arguments: object) -> dict[str, Any]:
    """Runs the flow while a progress bar shows how far it is; its outcome."""
    import flows.notebook
    import flows.reproduce
    import flows.robustness
    from flows.cli.progress import progress
    from flows.runtime.session import run

    known = {
        "robustness": flows.robustness.robustness,
        "notebook": flows.notebook.run_notebook,
        "reproduce": flows.reproduce.reproduce,
    }
    try:
        with progress(_console(), totals) as listener:
            return run(known[flow], listener, *arguments)
    except KeyboardInterrupt:
        raise _Interrupted from None  # typer has an answer of its own to the other


def _write_json(file: Path | None, content: object) -> None:
    if file is not None:
        from regress.report.json import to_json

        file.write_text(to_json(content) + "\n")


def _check_writable(option: str, file: Path | None) -> None:
    if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
        raise InputError(f"{option}: cannot write {file}, expected a file in a folder that exists")


def _start_server() -> None:
    """Prefect's server takes longest to start: it goes first, and is stopped again after bad input."""
    from flows.runtime.temporary_server import start

    start()


def _start_prefect() -> None:
    from flows.runtime.session import start

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
