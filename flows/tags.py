"""What an MLflow run says of the Prefect flow run that made it."""

from prefect import runtime

from regress.tracking.record import FLOW_RUN


def flow_run_tags() -> dict[str, str]:
    """Id and address of the flow run that this is called in."""
    tags = {FLOW_RUN: runtime.flow_run.id, "prefect.url": runtime.flow_run.ui_url}
    return {name: value for name, value in tags.items() if value}
