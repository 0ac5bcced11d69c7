"""The same bits on every processor: studies trained where all libraries are told to compute otherwise."""

import json
import subprocess

import pytest
import torch

from regress.study.load import load
from tests.processors import another_processor, plain, python

PORTABLE = ("default", "stackloss", "ohm", "orders", "one-outlier", "breakdown", "engel", "good-orders")
# Planck's law is trained by torch: that its bits do change shows that the other process computes otherwise.
CONTROL = "planck"

SCRIPT = """
import hashlib, json
from regress.kernels.compiler import describe_engine
from regress.study.load import load
from tests.helpers import execute, results

digests = {name: hashlib.sha256(results(execute(load(name)))).hexdigest() for name in sys.argv[1:]}
print(json.dumps({"engine": describe_engine(), "digests": digests}))
"""


@pytest.fixture(scope="module")
def digests() -> tuple[dict[str, str], dict[str, str]]:
    """Digests of each study's results.parquet, from a plain process and from one computing otherwise."""
    command = python(SCRIPT, *PORTABLE, CONTROL)
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for environment in (plain(), another_processor(plain()))
    ]
    outputs = [json.loads(process.communicate(timeout=600)[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert all(output["engine"].startswith("numba ") for output in outputs)
    one, other = (output["digests"] for output in outputs)
    return one, other


@pytest.mark.parametrize("name", PORTABLE)
def test_another_processor_makes_an_equal_file(name: str, digests: tuple[dict[str, str], ...]) -> None:
    one, other = digests
    assert all(trial.is_portable for trial in load(name).trials)
    assert one[name] == other[name]


def test_where_torch_trains_it_makes_another_file(digests: tuple[dict[str, str], ...]) -> None:
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("torch has no vector instructions here that could be switched off")
    one, other = digests
    assert not any(trial.is_portable for trial in load(CONTROL).trials)
    assert one[CONTROL] != other[CONTROL]


def test_what_is_not_portable_says_so() -> None:
    found = {
        name: all(trial.is_portable for trial in load(name).trials) for name in ("planck", "tuned-losses")
    }
    assert found == {"planck": False, "tuned-losses": False}
    heavy = load("tuned-losses")
    assert {str(t.contamination) for t in heavy.trials if not t.is_portable} == {
        "heavy-tails(df=1.0, scale=1.0)",
        "heavy-tails(df=3.0, scale=1.0)",
    }
