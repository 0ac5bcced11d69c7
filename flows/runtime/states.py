"""Flow runs whose process died: Prefect would show them as running for ever."""

import logging
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

_log = logging.getLogger(__name__)


def mark_crashed(
    flow_run_id: str, reason: str = "Its process died; another flow run resumed the study."
) -> None:
    """Moves a flow run that is not in a final state to Crashed, where this server knows it."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_flow_run(UUID(flow_run_id))
        except ObjectNotFound:
            return
        if found.state is None or not found.state.is_final():
            client.set_flow_run_state(found.id, Crashed(message=reason), force=True)
