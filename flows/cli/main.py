"""The entry points of the command `regress`.

`main`, the console script, owns its process: it alone, and what it alone calls, changes signal handlers,
environment variables and garbage collection. `execute` runs one command line in any process and leaves
these as they are.

Torch, MLflow and Prefect take seconds to import; each is imported where it is first needed, so that --help
and bad input answer at once.
"""

import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from flows.cli.exit_codes import ExitCode
from flows.cli.flow_runs import Interrupted
from flows.cli.notebook_command import notebook
from flows.cli.output import print_error
from flows.cli.process_hooks import ProcessHooks, owned_process
from flows.cli.record_commands import baseline, diff, show
from flows.cli.rerun_command import reproduce
from flows.cli.service_commands import doctor, down, up
from flows.cli.study_commands import run, studies
from flows.cli.table_commands import check
from flows.runtime.process_settings import configure_process, skip_final_collection
from flows.runtime.shown_command import shown_command
from regress.errors import InputError, ServiceLost

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which loss, learning rate and initial scale survive outliers and a hostile data order?",
)
for _command in (run, check, notebook, show, reproduce, baseline, diff, studies, up, down, doctor):
    app.command()(_command)


def main() -> None:
    """Run the process's command line and exit with its exit code."""
    configure_process()
    code = execute(sys.argv[1:], owned_process())
    skip_final_collection()
    sys.exit(code)


def execute(arguments: Sequence[str], hooks: ProcessHooks | None = None) -> int:
    """Run one command line and return its exit code; without `hooks`, leave the process as it is."""
    try:
        app(list(arguments), prog_name="regress", obj=hooks)
    except SystemExit as ended:  # typer ends each command and each usage error so
        return ended.code if isinstance(ended.code, int) else ExitCode.OK
    except InputError as error:
        return _failure(str(error), ExitCode.BAD_INPUT)
    except Interrupted:
        return _failure(f"interrupted{_resume_hint(arguments)}", ExitCode.INTERRUPTED)
    except ServiceLost as error:
        return _failure(f"{error}{_resume_hint(arguments)}", ExitCode.SERVICE_LOST)
    except Exception:
        traceback.print_exc()
        return _failure("internal error, see above", ExitCode.INTERNAL_ERROR)
    return ExitCode.OK


def _failure(sentence: str, code: ExitCode) -> ExitCode:
    print_error(sentence)
    return code


def _resume_hint(arguments: Sequence[str]) -> str:
    """Return what to add to an error message if the command can be resumed."""
    if not arguments or arguments[0] != "run":
        return ""
    resumed = [argument for argument in arguments if argument != "--resume"]
    return f"; resume with: {shown_command('regress')} {shlex.join([*resumed, '--resume'])}"


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"regress {version('regress')}")
        raise typer.Exit


@app.callback()
def _common_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options before the subcommand; `version` is handled by its callback."""
