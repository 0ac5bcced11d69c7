"""The services' Prefect server: a client of it, its work pool and workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.services.settings import POOL, ServiceSettings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


@contextmanager
def prefect_client(settings: ServiceSettings) -> "Iterator[SyncPrefectClient]":
    """Connect to the services' server, whatever the terminal's settings say."""
    from prefect.client.orchestration import get_client
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_KEY,
        PREFECT_API_URL,
        temporary_settings,
    )

    overrides = {
        PREFECT_API_URL: settings.prefect_api,
        PREFECT_API_AUTH_STRING: settings.login,
        PREFECT_API_KEY: None,
    }
    with temporary_settings(overrides), get_client(sync_client=True) as client:
        yield client


def ensure_work_pool(client: "SyncPrefectClient") -> None:
    """Create the work pool unless it exists."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))


def online_workers(client: "SyncPrefectClient") -> set[str]:
    """Return the names of the pool's workers that have lately contacted the server."""
    workers = client.read_workers_for_work_pool(POOL)
    return {
        worker.name for worker in workers if worker.status is not None and worker.status.value == "ONLINE"
    }
