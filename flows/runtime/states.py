"""States of flow runs whose process died, which Prefect would show as Running forever."""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed


def mark_crashed(
    flow_run_id: str, reason: str = "Its process died; another flow run resumed the study."
) -> None:
    """Move a flow run that is not in a final state to Crashed; ignore ids unknown to the server."""
    with get_client(sync_client=True) as client:
        try:
            flow_run = client.read_flow_run(UUID(flow_run_id))
        except ObjectNotFound:
            return
        if flow_run.state is None or not flow_run.state.is_final():
            client.set_flow_run_state(flow_run.id, Crashed(message=reason), force=True)
