"""Compiled kernels: agreement of scalar forms with their losses, tiles, the cache, and no Numba."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regress.fleet.tiles import split_into_tiles
from regress.kernels import WIDTH
from regress.kernels.compiler import Dtype, load_elementwise
from regress.losses import LOSSES, Loss, Tuned
from regress.losses.evaluate import evaluate_psi
from tests.processors import plain, python

LOSS_VALUES = [cls() for cls in LOSSES.values()] + [
    cls(c)  # type: ignore[call-arg]
    for cls in LOSSES.values()
    if issubclass(cls, Tuned) or cls.name == "smooth-l1"
    for c in (1e-15, 1e-3, 1e3, 1e15)
]


def wide_range(dtype: torch.dtype, unit: float) -> torch.Tensor:
    """Return residuals of both signs over the dtype's range, many around `unit`, with 0, inf and nan."""
    info = torch.finfo(dtype)
    exponents = torch.linspace(math.log10(info.tiny), math.log10(info.max), 2000, dtype=torch.float64)
    sizes = (10**exponents).to(dtype).clamp(max=info.max)
    middle = torch.linspace(0, 8, 2001, dtype=torch.float64).to(dtype) * unit
    nonfinite = torch.tensor([math.inf, math.nan], dtype=dtype)
    return torch.cat([sizes, -sizes, middle, -middle, nonfinite, -nonfinite])


@pytest.mark.parametrize(("kind", "dtype"), [("rho", "float64"), ("psi", "float64"), ("psi", "float32")])
@pytest.mark.parametrize("loss", LOSS_VALUES, ids=str)
def test_a_scalar_form_agrees_with_its_loss(loss: Loss, dtype: Dtype, kind: str) -> None:
    unit = loss.constants[0] if loss.constants else 1.0
    u = wide_range(getattr(torch, dtype), unit)
    expected = getattr(loss, kind)(u).numpy()
    kernel = load_elementwise(getattr(loss.scalar_form, kind), len(loss.constants), dtype)
    assert kernel is not None
    values = u.numpy().copy()
    kernel(values, len(values), np.array(loss.constants, dtype))
    # In float32 torch rounds v**2 before the exponential, whereas the kernel computes it in float64.
    float32 = 2e-2 if loss.name == "welsch" else 1e-5
    rtol, atol = (4e-15, 1e-290) if dtype == "float64" else (float32, 1e-30)
    np.testing.assert_allclose(values, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("loss", LOSS_VALUES, ids=str)
def test_a_scalar_form_has_the_same_bits_compiled_as_in_python(loss: Loss) -> None:
    u = wide_range(torch.float64, loss.constants[0] if loss.constants else 1.0)[::7].numpy().copy()
    for function in (loss.scalar_form.rho, loss.scalar_form.psi):  # type: ignore[union-attr]
        kernel = load_elementwise(function, len(loss.constants), "float64")
        assert kernel is not None
        values = u.copy()
        kernel(values, len(values), np.array(loss.constants))
        with np.errstate(all="ignore"):
            expected = [function(x, *loss.constants) for x in u]
        np.testing.assert_array_equal(values, expected)


@given(st.integers(1, 70), st.integers(1, 40))
def test_each_lane_has_one_slot_and_each_slot_one_stream(streams: int, lanes: int) -> None:
    numbers = 1 + np.arange(lanes * streams).reshape(lanes, streams)
    read = np.zeros_like(numbers)
    for tile in split_into_tiles(streams, lanes):
        placed = tile.place(numbers)
        assert placed.shape[1:] == tile.source.shape == (WIDTH,)
        is_used = placed > 0
        sources = np.broadcast_to(tile.source, placed.shape)
        np.testing.assert_array_equal((placed[is_used] - 1) % streams, sources[is_used])
        assert is_used.sum() == lanes * tile.size
        read[:, tile.streams] += tile.read(placed)
    np.testing.assert_array_equal(read, numbers)


@given(st.integers(1, 70), st.integers(1, 40))
def test_at_least_a_third_of_the_slots_is_used_unless_one_tile_suffices(streams: int, lanes: int) -> None:
    used = sum(tile.layers * WIDTH for tile in split_into_tiles(streams, lanes))
    assert used <= max(3 * streams * lanes, WIDTH)


def test_psi_of_an_array_agrees_with_torch() -> None:
    u = np.linspace(-5, 5, 101)
    for loss in LOSS_VALUES:
        expected = loss.psi(torch.from_numpy(u)).numpy()
        np.testing.assert_allclose(evaluate_psi(loss, u), expected, rtol=1e-13, atol=1e-300)


RUN = """
import json, logging
from tests.helpers import execute
from tests.metrics.test_results import study
from regress.kernels.compiler import are_kernels_cached, describe_engine

before = are_kernels_cached()
table = execute(study())[0].table.to_pandas()
digests, errors = table.params_digest.tolist(), table.param_error.tolist()
print(json.dumps([describe_engine(), before, are_kernels_cached(), digests, errors]))
"""
WITHOUT_NUMBA = "sys.modules['numba'] = None\n"


def run(home: Path, script: str = RUN, **variables: str) -> tuple[list[object], str]:
    """Run a script in a new process; return what it printed as JSON, and its standard error."""
    process = subprocess.run(
        python(script),
        env=plain() | {"REGRESS_HOME": str(home)} | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(process.stdout), process.stderr


def test_kernels_are_compiled_once_and_cached(tmp_path: Path) -> None:
    (engine, before, after, digests, _), stderr = run(tmp_path)
    assert str(engine).startswith("numba ")
    assert (before, after, stderr) == (False, True, "")
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb*")}
    (_, before, _, second_digests, _), _ = run(tmp_path)
    assert (before, second_digests) == (True, digests)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb*")} == files


def test_processes_that_compile_at_once_do_not_mix_up_their_files(tmp_path: Path) -> None:
    losses = ["l1", "huber", "smooth-l1", "tukey", "fair", "quantile"]
    script = """
import json
import numpy as np
from regress.losses import LOSSES
from regress.losses.evaluate import evaluate_psi

names = sys.argv[1:]
print(json.dumps({name: evaluate_psi(LOSSES[name](), np.linspace(-9, 9, 37)).tolist() for name in names}))
"""
    processes = [
        subprocess.Popen(
            python(script, *losses[i:], *losses[:i]),
            env=plain() | {"REGRESS_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    outputs = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    (last,) = [
        json.loads(
            subprocess.run(
                python(script, *losses),
                env=plain() | {"REGRESS_HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    ]
    u = torch.linspace(-9, 9, 37, dtype=torch.float64)
    for output in [*outputs, last]:
        for name in losses:
            assert output[name] == pytest.approx(LOSSES[name]().psi(u).tolist(), rel=1e-12)


def test_a_cache_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "kernels").write_text("a file in place of the folder")
    (engine, _, is_cached, digests, _), stderr = run(tmp_path)
    assert str(engine).startswith("numba ")
    assert is_cached is False
    assert stderr.count("kernels cannot be cached, each process compiles them") == 1
    assert len(stderr.strip().splitlines()) == 1
    (_, _, _, expected, _), _ = run(tmp_path / "other")
    assert digests == expected


@pytest.mark.parametrize("reason", ["missing", "switched off"])
def test_without_numba_torch_trains_and_a_warning_is_logged_once(tmp_path: Path, reason: str) -> None:
    script = WITHOUT_NUMBA + RUN if reason == "missing" else RUN
    variables = {} if reason == "missing" else {"NUMBA_DISABLE_JIT": "1"}
    (engine, _, _, digests, errors), stderr = run(tmp_path, script, **variables)
    assert engine == "torch"
    assert stderr.count("linear models are trained by torch") == 1
    assert len(stderr.strip().splitlines()) == 1
    (_, _, _, compiled, expected), _ = run(tmp_path)
    assert digests != compiled
    assert len(errors) == len(expected)  # type: ignore[arg-type]


def test_the_environment_records_the_engine(tmp_path: Path) -> None:
    script = "import json\nfrom regress.tracking.environment import environment\n"
    script += "print(json.dumps(environment()['engine']))"
    engine, _ = run(tmp_path, script)
    assert str(engine).startswith("numba ")
    engine, _ = run(tmp_path, WITHOUT_NUMBA + script)
    assert engine == "torch"


SYMBOL = """
import sys
from regress.kernels.compiler import load_elementwise
from regress.losses import LOSSES

loss = LOSSES[sys.argv[1]]()
kernel = load_elementwise(loss.scalar_form.psi, len(loss.constants), "float32")
(compiled,) = kernel.overloads.values()
print(compiled.fndesc.mangled_name)
"""


def test_kernels_compiled_by_different_processes_have_different_symbols(tmp_path: Path) -> None:
    """Numba numbers functions anew in each process: two in one cache must not share a symbol."""
    symbols = set()
    for name in ("l1", "welsch", "huber"):
        ended = subprocess.run(
            [sys.executable, "-c", SYMBOL, name],
            env=os.environ | {"REGRESS_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        symbols.add(ended.stdout)
    assert len(symbols) == 3
