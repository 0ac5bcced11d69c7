"""Command lines (arguments of `python -m`) and environment variables of the three services."""

import secrets
import socket
from hashlib import sha256

from flows.runtime.process_settings import MLFLOW_DEFAULTS
from flows.services.settings import POOL, WORKER, ServiceSettings, is_loopback, services_folder

_LOCAL_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"  # names that MLflow's server accepts


def prefect_arguments(settings: ServiceSettings) -> list[str]:
    """Return the arguments that start Prefect's server."""
    return ["prefect", "server", "start", "--host", settings.host, "--port", str(settings.prefect_port)]


def prefect_environment(settings: ServiceSettings) -> dict[str, str]:
    """Return the variables of Prefect's server and of its clients on this machine."""
    variables = {
        "PREFECT_HOME": str(services_folder() / "prefect"),
        "PREFECT_API_URL": settings.prefect_api,
        "PREFECT_UI_URL": settings.prefect_address,
        "PREFECT_SERVER_UI_API_URL": f"{settings.prefect_address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # analytics lock the database
        "DO_NOT_TRACK": "1",
    }
    if settings.login is not None:
        variables["PREFECT_SERVER_API_AUTH_STRING"] = settings.login
        variables["PREFECT_API_AUTH_STRING"] = settings.login
    return variables


def mlflow_arguments(settings: ServiceSettings) -> list[str]:
    """Return the arguments that start MLflow's server."""
    arguments = ["mlflow", "server", "--host", settings.host, "--port", str(settings.mlflow_port)]
    arguments += ["--workers", "1", "--no-serve-artifacts"]
    arguments += ["--default-artifact-root", str(settings.artifacts)]
    if not is_loopback(settings.host):
        names = f"{settings.host},{settings.host}:*,{socket.gethostname()},{socket.gethostname()}:*"
        arguments += ["--allowed-hosts", f"{_LOCAL_HOSTS},{names}"]
    return arguments if settings.login is None else [*arguments, "--app-name", "basic-auth"]


def mlflow_environment(settings: ServiceSettings) -> dict[str, str]:
    """Return the variables of MLflow's server; with a login, write its configuration file."""
    variables = {
        "MLFLOW_BACKEND_STORE_URI": settings.store,  # every user can list a process's arguments
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its processes outlive the server
    }
    if settings.login is None:
        return variables
    user, _, password = settings.login.partition(":")
    # MLflow keeps a user's first password, hence one file of users for each login.
    users = services_folder() / f"users-{sha256(settings.login.encode()).hexdigest()[:8]}.db"
    ini = services_folder() / "basic_auth.ini"
    ini.write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{users}\n")
    return variables | {
        "MLFLOW_AUTH_CONFIG_PATH": str(ini),
        "MLFLOW_AUTH_ADMIN_USERNAME": user,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


def worker_arguments() -> list[str]:
    """Return the arguments that start the worker."""
    return ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER]


def worker_environment(settings: ServiceSettings) -> dict[str, str]:
    """Return the variables of the worker and its flow runs.

    Flow runs write to the database itself and link to the MLflow server.
    """
    return prefect_environment(settings) | {
        **MLFLOW_DEFAULTS,
        "MLFLOW_TRACKING_URI": settings.store,
        "REGRESS_MLFLOW_UI": settings.mlflow_address,
        "REGRESS_HOME": str(services_folder().parent),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "regress",
    }
