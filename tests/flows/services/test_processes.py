"""Processes of the services: how they are started, recognised and stopped."""

import os
import signal
import time
from pathlib import Path

import pytest

from flows.services.processes import ServiceProcess, child_environment, start_process, stop_processes


@pytest.fixture
def ignored_interrupt() -> object:
    """SIGINT ignored, as in a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignored_interrupt")
def test_a_service_has_default_signal_handlers_whatever_is_ignored_here(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        "import signal, time\n"
        "is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "print(is_default, flush=True)\n"
        "time.sleep(60)\n"
    )
    log = tmp_path / "log"
    process = start_process(["probe"], child_environment(), tmp_path, log, f"probe {tmp_path}")
    try:
        deadline = time.monotonic() + 30
        while not log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert log.read_text() == "True\n"
        assert process.is_running
    finally:
        stop_processes(process)
    assert not process.is_running
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_process_that_was_given_the_same_id_is_another() -> None:
    assert not ServiceProcess(os.getpid(), time.time() - 10**6, "", "").is_running
