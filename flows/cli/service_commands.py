"""The commands `up`, `down` and `doctor`."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.cli.exit_codes import ExitCode
from flows.cli.output import new_console


def up(
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The address to listen at.", show_default="127.0.0.1"),
    ] = None,
    prefect_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Prefect's port.", show_default="4200")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="MLflow's port.", show_default="5000")
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(
            metavar="USER:PASSWORD",
            envvar="REGRESS_LOGIN",
            help="The login that both servers ask for; needed to listen beyond this machine.",
        ),
    ] = None,
    notify_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A webhook that is notified when a reproduction fails."),
    ] = None,
) -> None:
    """Start Prefect, MLflow and a worker, and deploy the deployments of prefect.yaml."""
    from flows.services.up import Options, start_services

    start_services(Options(host, prefect_port, mlflow_port, login), notify_url, _reporter(new_console()))


def down() -> None:
    """Stop what `up` has started."""
    from flows.services.down import stop_services

    stop_services(_reporter(new_console()))


def doctor() -> None:
    """Check versions, disk, store, servers, worker, deployments and flow runs; exit 1 if one would fail."""
    from flows.services.doctor import diagnose

    console = new_console()
    is_healthy = True
    for finding in diagnose():
        is_healthy &= finding.ok
        verdict = "[green]ok[/]  " if finding.ok else "[bold red]FAIL[/]"
        line = f"{verdict}  {finding.subject:<12} {escape(finding.text)}"
        console.print(line, highlight=False, soft_wrap=True)
    if not is_healthy:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _reporter(console: Console) -> Callable[[str, str], None]:
    """Return a function that prints a line for each service and its new status."""
    return lambda service, status: console.print(
        f"{service:<12} {escape(status)}", highlight=False, soft_wrap=True
    )
