"""Tags of an MLflow run that lead to the Prefect flow run that made it."""

from prefect import runtime
from prefect.settings import PREFECT_UI_URL

from flows.runtime.prefect_internals import url_for
from regress.tracking.execution import FLOW_RUN


def flow_run_tags() -> dict[str, str]:
    """Return the current flow run's id and, unless the server is temporary, its address."""
    flow_run_id = runtime.flow_run.id
    if flow_run_id is None:
        return {}
    address = url_for("flow-run", flow_run_id) if PREFECT_UI_URL.value() else None
    return {FLOW_RUN: flow_run_id} | ({"prefect.url": address} if address else {})
