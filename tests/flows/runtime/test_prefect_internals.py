"""The parts of Prefect used here that are not public interface: where they are and how they are called."""

import inspect
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import prefect
import pytest

ROOT = Path(__file__).parents[3]
TRIED_ON = "3.8.8"
# Module, name and the arguments that flows/runtime passes.
CALLS: dict[str, tuple[str, str, tuple[Any, ...], dict[str, Any]]] = {
    "setup_logging": ("prefect.logging.configuration", "setup_logging", (), {}),
    "PrefectConsoleHandler": ("prefect.logging.handlers", "PrefectConsoleHandler", (), {}),
    "EventsWorker.instance": ("prefect.events.worker", "EventsWorker.instance", (), {}),
    "EventsWorker.drain": ("prefect.events.worker", "EventsWorker.drain", ("self",), {}),
    "url_for": ("prefect.utilities.urls", "url_for", ("flow-run", "id"), {}),
    "create_app": ("prefect.server.api.server", "create_app", (), {"ephemeral": True}),
}
HINT = (
    f"flows/runtime was tried on Prefect {TRIED_ON}, installed is {prefect.__version__}: adapt"
    " flows/runtime/prefect_internals.py or temporary_server_app.py"
)


def resolve(module: str, name: str) -> Callable[..., Any]:
    """The object with this dotted name."""
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)
    return found


@pytest.mark.parametrize("part", CALLS)
def test_an_internal_part_is_where_it_was_and_is_called_as_it_was(part: str) -> None:
    module, name, arguments, keywords = CALLS[part]
    try:
        inspect.signature(resolve(module, name)).bind(*arguments, **keywords)
    except (ImportError, AttributeError, TypeError) as error:
        pytest.fail(f"{module}.{name}: {error}. {HINT}")


def test_prefect_s_console_is_a_handler_with_level_and_filters() -> None:
    from flows.runtime.prefect_internals import PrefectConsoleHandler

    assert issubclass(PrefectConsoleHandler, logging.Handler), HINT


def test_the_heartbeat_can_be_turned_off() -> None:
    from prefect.settings import get_current_settings, temporary_settings

    from flows.runtime.prefect_internals import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        assert get_current_settings().flows.heartbeat_frequency is None, HINT


def test_internal_parts_are_imported_in_one_place() -> None:
    internal = (
        "prefect.events.worker",
        "prefect.logging",
        "prefect.server",
        "prefect.utilities.urls",
        "._",
    )
    files = [file for name in ("flows", "tasks", "regress") for file in (ROOT / name).rglob("*.py")]
    importing = {
        file.relative_to(ROOT).as_posix()
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("import prefect", "from prefect")) and any(p in line for p in internal)
    }
    assert importing == {"flows/runtime/prefect_internals.py", "flows/runtime/temporary_server_app.py"}
