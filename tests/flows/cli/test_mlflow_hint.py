"""The command that shows a store in MLflow's own pages, and the address to open then."""

import socket
from pathlib import Path

from mlflow import MlflowClient

from flows.cli.mlflow_hint import open_in_mlflow
from flows.runtime.shown_command import shown_command
from tests.ports import free_port

RUN = "0" * 32


def page(port: int, run_id: str = RUN) -> str:
    return f"http://127.0.0.1:{port}/#/experiments/1/runs/{run_id}"


def test_a_free_port_is_kept() -> None:
    url = page(free_port())
    command = f"{shown_command('mlflow')} ui --backend-store-uri sqlite:///a.db"
    assert open_in_mlflow("mlflow ui --backend-store-uri sqlite:///a.db", url, RUN) == (command, url)


def test_another_program_s_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command, url = open_in_mlflow("mlflow ui", page(port), RUN)
    assert command is not None
    shown, free = command.rsplit(" --port ", 1)
    assert shown == f"{shown_command('mlflow')} ui"
    assert int(free) > port
    assert url == page(int(free))


def test_a_server_that_has_the_run_needs_no_command(mlflow_server: str, workplace: Path) -> None:
    client = MlflowClient(mlflow_server)
    run_id = client.create_run(client.create_experiment("hinted")).info.run_id
    url = page(int(mlflow_server.rsplit(":", 1)[1]), run_id)
    assert open_in_mlflow("mlflow ui", url, run_id) == (None, url)
    command, _ = open_in_mlflow("mlflow ui", url, RUN)  # a server over another store
    assert command is not None
    assert " --port " in command
