"""The second process: same results, wherever they are made, and never left behind."""

import operator
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tasks.figure_worker import _child, aside, shared, warm_up

# Only what the child can import wherever it was started: the standard library.


def test_what_is_done_there_is_what_would_be_done_here() -> None:
    assert shared(int, "12", base=3) == aside(int, "12", base=3).result() == 5
    assert shared(os.getpid) != os.getpid()


def test_what_is_printed_there_comes_between_no_answers() -> None:
    shared(print, "to standard output", flush=True)
    assert shared(operator.mul, 3, 4) == 12


def test_what_fails_there_fails_here_and_the_next_does_not() -> None:
    with pytest.raises(ValueError, match="'seven'"):
        shared(int, "seven")
    with pytest.raises(ValueError, match="'eight'"):
        aside(int, "eight").result()
    assert shared(operator.mul, 2, 2) == 4


def test_what_cannot_be_sent_is_done_here() -> None:
    lock = threading.Lock()
    assert shared(lambda x: x + 1, 1) == 2
    assert shared(id, lock) == id(lock)
    assert shared(operator.mul, 2, 2) == 4


def test_one_that_is_busy_keeps_nobody_waiting() -> None:
    warm_up()
    slow = aside(time.sleep, 1.0)
    time.sleep(0.2)
    assert shared(os.getpid) == os.getpid()
    slow.result()
    assert shared(os.getpid) != os.getpid()


def test_with_one_core_all_is_done_here() -> None:
    script = (
        "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])\n"
        "from tasks.figure_worker import _child, aside, shared, warm_up\n"
        "warm_up()\n"
        "print(shared(os.getpid) == aside(os.getpid).result() == os.getpid(), _child.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True 0\n"


def test_calls_of_many_threads_get_their_own_answers() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda x: shared(operator.mul, x, x), range(200))) == [
            x * x for x in range(200)
        ]


def test_one_that_was_killed_is_replaced() -> None:
    warm_up()
    assert aside(operator.mul, 2, 2).result() == 4  # it is ready
    before = _child()
    before.kill()
    before.wait()
    assert shared(operator.mul, 5, 5) == 25
    assert shared(os.getpid) not in (os.getpid(), before.pid)


@pytest.mark.parametrize("end", ["pass", "import os; os.kill(os.getpid(), 9)"])
def test_it_ends_with_its_process_however_that_ends(end: str, tmp_path: Path) -> None:
    script = (
        "from tasks.figure_worker import _child, warm_up; warm_up();"
        f" print(_child().pid, flush=True); {end}"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    child = int(done.stdout)
    deadline = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
