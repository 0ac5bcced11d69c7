"""The automations of automations.yaml on the services' Prefect server, and the webhook they notify."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from flows.services.deployments import DEFINITIONS

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

AUTOMATIONS = DEFINITIONS / "automations.yaml"
_WEBHOOK_BLOCK = "regress"


def apply_automations(client: "SyncPrefectClient", notify_url: str | None) -> None:
    """Create or update the file's automations, each found by its name.

    Without an address to notify, from now or an earlier time, they record an event and do nothing else.
    """
    from prefect.events.schemas.automations import AutomationCore

    webhook = _webhook_block(client, notify_url)
    for content in _automations():
        automation = AutomationCore.model_validate(
            content | {"actions": _actions(content["actions"], webhook)}
        )
        existing = client.read_automations_by_name(automation.name)
        if existing:
            automation.enabled = existing[0].enabled
            client.update_automation(existing[0].id, automation)
        else:
            client.create_automation(automation)


def missing_automations(client: "SyncPrefectClient") -> set[str]:
    """Return the names of automations.yaml's automations that the server does not have."""
    names = {automation["name"] for automation in _automations()}
    return {name for name in names if not client.read_automations_by_name(name)}


def _automations() -> list[dict[str, Any]]:
    content = yaml.safe_load(AUTOMATIONS.read_text(encoding="utf-8"))
    automations: list[dict[str, Any]] = content["automations"]
    return automations


def _actions(actions: list[Mapping[str, Any]], webhook: str | None) -> list[Mapping[str, Any]]:
    if webhook is None:
        return [{"type": "do-nothing"}]
    return [
        {**action, "block_document_id": webhook} if action["type"] == "send-notification" else action
        for action in actions
    ]


def _webhook_block(client: "SyncPrefectClient", url: str | None) -> str | None:
    """Return the id of the block that notifies `url`, by default the address given earlier."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.exceptions import ObjectNotFound

    if url is not None:
        text = {"text": "{{subject}}\n{{body}}"}  # the form that chat programs accept
        block = CustomWebhookNotificationBlock(name=_WEBHOOK_BLOCK, url=url, json_data=text)
        return str(block.save(_WEBHOOK_BLOCK, overwrite=True))
    slug = CustomWebhookNotificationBlock.get_block_type_slug()
    try:
        return str(client.read_block_document_by_name(_WEBHOOK_BLOCK, slug).id)
    except ObjectNotFound:
        return None
