"""What an MLflow run says of the Prefect flow run that made it."""

from prefect import runtime
from prefect.settings import PREFECT_UI_URL
from prefect.utilities.urls import url_for

from regress.tracking.record import FLOW_RUN


def flow_run_tags() -> dict[str, str]:
    """Id and address of the flow run that this is called in; a temporary server's address is none."""
    flow_run_id = runtime.flow_run.id
    if flow_run_id is None:
        return {}
    address = url_for("flow-run", flow_run_id) if PREFECT_UI_URL.value() else None
    return {FLOW_RUN: flow_run_id} | ({"prefect.url": address} if address else {})
