"""The second process for figures: same results wherever they are drawn, and never left behind."""

import operator
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tasks.figure_worker import figure_worker

# The worker can import the standard library wherever it was started.

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture(scope="module")
def worker() -> Iterator[int]:
    """The process id of a worker that is ready."""
    if CORES == 1:
        pytest.skip("one core: no worker is started")
    figure_worker.start()
    yield figure_worker.submit(os.getpid).result()
    figure_worker.stop()


def test_without_a_worker_all_is_drawn_here() -> None:
    figure_worker.stop()
    assert figure_worker.draw_now(os.getpid) == figure_worker.submit(os.getpid).result() == os.getpid()


def test_the_worker_is_another_process_with_the_same_results(worker: int) -> None:
    assert worker != os.getpid()
    assert figure_worker.draw_now(os.getpid) == worker
    assert (
        figure_worker.draw_now(operator.mul, 3, 4)
        == figure_worker.submit(operator.mul, 3, 4).result()
        == 12
    )


def test_an_error_is_raised_here_and_the_worker_goes_on(worker: int) -> None:
    with pytest.raises(ValueError, match="'seven'"):
        figure_worker.draw_now(int, "seven")
    with pytest.raises(ValueError, match="'eight'"):
        figure_worker.submit(int, "eight").result()
    assert figure_worker.draw_now(os.getpid) == worker


def test_what_cannot_be_pickled_is_drawn_here(worker: int) -> None:
    lock = threading.Lock()
    assert figure_worker.draw_now(lambda x: x + 1, 1) == 2
    assert figure_worker.draw_now(id, lock) == id(lock)
    assert figure_worker.draw_now(os.getpid) == worker


def test_a_busy_worker_keeps_nobody_waiting(worker: int) -> None:
    slow = figure_worker.submit(time.sleep, 1.0)
    assert figure_worker.draw_now(os.getpid) == os.getpid()
    slow.result()
    assert figure_worker.draw_now(os.getpid) == worker


@pytest.mark.usefixtures("worker")
def test_calls_of_many_threads_get_their_own_answers() -> None:
    with ThreadPoolExecutor(4) as pool:
        squares = list(pool.map(lambda x: figure_worker.draw_now(operator.mul, x, x), range(200)))
    assert squares == [x * x for x in range(200)]


def test_what_the_worker_cannot_import_is_drawn_here(
    worker: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("import os\ndef draw():\n    return os.getpid()\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    assert figure_worker.draw_now(only_here.draw) == os.getpid()
    assert worker != os.getpid()


def test_after_the_worker_is_killed_all_is_drawn_here() -> None:
    if CORES == 1:
        pytest.skip("one core: no worker is started")
    figure_worker.stop()
    figure_worker.start()
    worker = figure_worker.submit(os.getpid).result()
    slow = figure_worker.submit(time.sleep, 0.1)
    os.kill(worker, signal.SIGKILL)
    assert slow.result() is None
    assert figure_worker.draw_now(operator.mul, 5, 5) == 25
    assert figure_worker.draw_now(os.getpid) == os.getpid()
    figure_worker.stop()


def test_with_one_core_no_worker_is_started() -> None:
    script = (
        "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])\n"
        "from tasks.figure_worker import figure_worker\n"
        "figure_worker.start()\n"
        "print(figure_worker.draw_now(os.getpid) == os.getpid())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


START = (
    "import os, time, psutil\n"
    "from tasks.figure_worker import figure_worker\n"
    "figure_worker.start()\n"
    "children = [child.pid for child in psutil.Process().children()]\n"
    "print(figure_worker.submit(os.getpid).result(), *children, flush=True)\n"
)


@pytest.mark.skipif(CORES == 1, reason="one core: no worker is started")
@pytest.mark.parametrize(
    "end",
    ["pass", "os.kill(os.getpid(), 9)", "figure_worker.submit(time.sleep, 60); os.kill(os.getpid(), 9)"],
)
def test_the_worker_ends_with_its_parent_without_a_word(end: str) -> None:
    done = subprocess.run([sys.executable, "-c", START + end], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    children = [int(pid) for pid in done.stdout.split()]
    deadline = time.monotonic() + 30
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(CORES == 1, reason="one core: no worker is started")
def test_an_interrupt_of_the_terminal_does_not_reach_the_worker() -> None:
    waiting = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored where tests run\n"
        "drawing = figure_worker.submit(time.sleep, 1)\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print(drawing.future.result())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", START + waiting],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)  # until it sleeps
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (output, errors) == ("None\n", "")


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
