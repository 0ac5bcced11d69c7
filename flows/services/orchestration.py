"""What a Prefect server holds for us: the pool, the deployments, the automations."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flows.services import site as kept
from flows.services.site import POOL, Site
from regress.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

DEPLOYMENTS, AUTOMATIONS = "prefect.yaml", "automations.yaml"
_HOOK = "regress"  # the block that holds the address to notify


@contextmanager
def client(site: Site) -> "Iterator[SyncPrefectClient]":
    """A client of the site's server, whatever this terminal's settings say."""
    from prefect.client.orchestration import get_client
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_KEY,
        PREFECT_API_URL,
        temporary_settings,
    )

    settings = {
        PREFECT_API_URL: site.prefect_api,
        PREFECT_API_AUTH_STRING: site.login,
        PREFECT_API_KEY: None,
    }
    with temporary_settings(settings), get_client(sync_client=True) as connected:
        yield connected


def ensure_pool(connected: "SyncPrefectClient") -> None:
    """The work pool, created if need be."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        connected.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        connected.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))


def workers_online(connected: "SyncPrefectClient") -> set[str]:
    """The names of the pool's workers that the server has heard of lately."""
    workers = connected.read_workers_for_work_pool(POOL)
    return {
        worker.name for worker in workers if worker.status is not None and worker.status.value == "ONLINE"
    }


def expected_deployments(root: Path) -> set[str]:
    """The names in prefect.yaml."""
    content = yaml.safe_load((root / DEPLOYMENTS).read_text(encoding="utf-8"))
    return {deployment["name"] for deployment in content["deployments"]}


def missing_deployments(connected: "SyncPrefectClient", root: Path) -> set[str]:
    """Those of prefect.yaml that the server does not hold."""
    return expected_deployments(root) - {found.name for found in connected.read_deployments()}


def deploy(site: Site, connected: "SyncPrefectClient", environment: Mapping[str, str]) -> bool:
    """Deploys all of prefect.yaml where something has changed since; whether it has.

    Raises InputError where Prefect cannot make sense of the file.
    """
    root = Path(site.root)
    if is_deployed(site) and not missing_deployments(connected, root):
        return False
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    log = kept.log("deploy")
    with log.open("wb") as output:
        done = subprocess.run(
            command, cwd=root, env=dict(environment), stdout=output, stderr=output, check=False
        )
    if done.returncode != 0 or missing_deployments(connected, root):
        raise InputError(f"{root / DEPLOYMENTS}: Prefect could not deploy all of it, see {log}")
    _noted().write_text(_digest(site))
    return True


def is_deployed(site: Site) -> bool:
    """Whether nothing has changed since it was deployed."""
    return _noted().exists() and _noted().read_text() == _digest(site)


def _noted() -> Path:
    return kept.folder() / "deployed"


def _digest(site: Site) -> str:
    """Of all that a deployment is made from: prefect.yaml and where it lies, the flows, the studies."""
    package = Path(__file__).parents[2]
    code = (file for name in ("regress", "tasks", "flows") for file in (package / name).rglob("*"))
    digest = sha256(site.root.encode() + b"\0" + Path(site.root, DEPLOYMENTS).read_bytes())
    for file in sorted(file for file in code if file.suffix in (".py", ".yaml")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def apply_automations(connected: "SyncPrefectClient", root: Path, notify_url: str | None) -> None:
    """The automations of the file, each once: found by name and brought up to date, or created.

    Without an address to notify, now or from an earlier time, they leave an event and do nothing more.
    """
    from prefect.events.schemas.automations import AutomationCore

    block = _hook(connected, notify_url)
    for content in yaml.safe_load((root / AUTOMATIONS).read_text(encoding="utf-8"))["automations"]:
        wanted = AutomationCore.model_validate(content | {"actions": _actions(content["actions"], block)})
        found = connected.read_automations_by_name(wanted.name)
        if found:
            wanted.enabled = found[0].enabled
            connected.update_automation(found[0].id, wanted)
        else:
            connected.create_automation(wanted)


def missing_automations(connected: "SyncPrefectClient", root: Path) -> set[str]:
    """Those of automations.yaml that the server does not hold."""
    content = yaml.safe_load((root / AUTOMATIONS).read_text(encoding="utf-8"))
    names = {automation["name"] for automation in content["automations"]}
    return {name for name in names if not connected.read_automations_by_name(name)}


def _actions(actions: list[Mapping[str, Any]], block: str | None) -> list[Mapping[str, Any]]:
    if block is None:
        return [{"type": "do-nothing"}]
    return [
        {**action, "block_document_id": block} if action["type"] == "send-notification" else action
        for action in actions
    ]


def _hook(connected: "SyncPrefectClient", url: str | None) -> str | None:
    """The id of the block that notifies `url`, by default the address given earlier."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.exceptions import ObjectNotFound

    if url is not None:
        text = {"text": "{{subject}}\n{{body}}"}  # as chat programs take it
        hook = CustomWebhookNotificationBlock(name=_HOOK, url=url, json_data=text)
        return str(hook.save(_HOOK, overwrite=True))
    slug = CustomWebhookNotificationBlock.get_block_type_slug()
    try:
        return str(connected.read_block_document_by_name(_HOOK, slug).id)
    except ObjectNotFound:
        return None
