"""Parts of Prefect's client that are not public interface, imported nowhere else.

Tried on Prefect 3.8.8; tests/flows/runtime/test_prefect_internals.py fails when one of them moves or is
called differently. The only other internal part, the server's application, is in temporary_server_app.py:
importing it loads the whole server.
"""

# Task runs are reported as events from a background thread; drain() sends what is queued.
from prefect.events.worker import EventsWorker

# Prefect configures logging when the first flow starts; set up earlier, its console can be quieted.
from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler

# The heartbeat's thread sleeps for a second before it lets a flow end; None turns it off.
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

# The address of a flow run's page.
from prefect.utilities.urls import url_for

__all__ = [
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
    "EventsWorker",
    "PrefectConsoleHandler",
    "setup_logging",
    "url_for",
]
