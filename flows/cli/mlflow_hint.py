"""The command and address that open an execution in MLflow's own pages, if no server shows the store."""

from urllib.parse import urlsplit

import requests

from flows.runtime.ports import next_free_port, port_conflict
from flows.runtime.shown_command import shown_command

_TIMEOUT = 1.0  # seconds


def open_in_mlflow(command: str, url: str, run_id: str) -> tuple[str | None, str]:
    """Return the command that serves the store, as typed in this terminal, and the address to open then.

    `command` is `mlflow ui` with its options, `url` the page of the run `run_id` on its default port. If
    another program uses this port, both name a free one; if a server there has the run, the command
    is None.
    """
    address = urlsplit(url)
    host, port = str(address.hostname), address.port or 80
    program, *options = command.split(" ", 1)
    shown = " ".join([shown_command(program), *options])
    if port_conflict(host, port) is None:
        return shown, url
    if _has_run(f"{address.scheme}://{address.netloc}", run_id):
        return None, url
    free_port = next_free_port(host, port + 1)
    return f"{shown} --port {free_port}", address._replace(netloc=f"{host}:{free_port}").geturl()


def _has_run(server: str, run_id: str) -> bool:
    try:
        answer = requests.get(
            f"{server}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=_TIMEOUT
        )
    except requests.RequestException:
        return False
    return answer.ok
