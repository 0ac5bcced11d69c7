"""The deployments of prefect.yaml on the services' Prefect server.

prefect.yaml and automations.yaml are at the root of the repository; the links to them in `definitions`
become copies in a wheel.
"""

import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from flows.services.settings import ServiceSettings, log_file, services_folder
from regress.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_PACKAGES = Path(__file__).parents[2]
DEFINITIONS = Path(__file__).with_name("definitions")
DEPLOYMENTS = DEFINITIONS / "prefect.yaml"


def expected_deployments() -> set[str]:
    """Return the names of the deployments in prefect.yaml."""
    content = yaml.safe_load(DEPLOYMENTS.read_text(encoding="utf-8"))
    return {deployment["name"] for deployment in content["deployments"]}


def missing_deployments(client: "SyncPrefectClient") -> set[str]:
    """Return the names of prefect.yaml's deployments that the server does not have."""
    return expected_deployments() - {deployment.name for deployment in client.read_deployments()}


def deploy_all(
    settings: ServiceSettings, client: "SyncPrefectClient", environment: Mapping[str, str]
) -> bool:
    """Deploy all of prefect.yaml if anything has changed since the last time; return whether it has.

    Runs of the deployments work in the working folder. Raises InputError if Prefect cannot deploy the file.
    """
    if is_up_to_date(settings) and not missing_deployments(client):
        return False
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", str(DEPLOYMENTS)]
    log = log_file("deploy")
    with log.open("wb") as output:
        process = subprocess.run(
            command,
            cwd=settings.working_folder,
            env=dict(environment),
            stdout=output,
            stderr=output,
            check=False,
        )
    if process.returncode != 0 or missing_deployments(client):
        raise InputError(f"{DEPLOYMENTS}: Prefect could not deploy all of it, see {log}")
    _digest_file().write_text(_digest(settings))
    return True


def is_up_to_date(settings: ServiceSettings) -> bool:
    """Return whether nothing has changed since the last deployment."""
    return _digest_file().exists() and _digest_file().read_text() == _digest(settings)


def _digest_file() -> Path:
    return services_folder() / "deployed"


def _digest(settings: ServiceSettings) -> str:
    """Return a digest of what deployments depend on: the working folder, definitions, flows, studies."""
    code = (file for name in ("regress", "tasks", "flows") for file in (_PACKAGES / name).rglob("*"))
    digest = sha256(settings.working_folder.encode())
    for file in sorted(file for file in code if file.suffix in (".py", ".yaml")):
        digest.update(b"\0" + file.relative_to(_PACKAGES).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
