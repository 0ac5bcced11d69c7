"""Losses that installed packages add: found by importlib.metadata, imported on lookup, checked."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regress.errors import InputError
from regress.losses import L1, L2, LOSSES, Loss
from regress.values.registry import Registry, load_registry
from regress.values.text import parse, schema_pattern
from tests.helpers import refusal

ROOT = Path(__file__).parents[2]
TWIN = """
import torch
from pydantic.dataclasses import dataclass
from regress.losses import Loss
from regress.losses.loss import Positive
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class Twin(Loss):
    '''Huber's loss, computed by a different formula.'''

    name = "twin"
    width: Positive = 1.0

    def rho(self, u):
        inner = self.psi(u)
        return inner * (u - 0.5 * inner)

    def psi(self, u):
        return torch.minimum(torch.maximum(u, u.new_tensor(-self.width)), u.new_tensor(self.width))
"""
HEAD = TWIN[: TWIN.index("@dataclass")]
SCALAR_FORM = """

from regress.losses import ScalarForm
from regress.numerics.elementary import clamp


def rho(u, width):
    inner = psi(u, width)
    return inner * (u - 0.5 * inner)


def psi(u, width):
    return clamp(u, -width, width)


Twin.scalar_form = ScalarForm(rho, psi)
"""


def install(folder: Path, package: str, entries: dict[str, str], modules: dict[str, str]) -> None:
    """Write what pip installs for a package: its modules and a dist-info folder with its entry points."""
    info = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[regress.losses]", *lines, ""]))
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide a folder on sys.path to install into; modules imported from it are unloaded afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def table() -> Registry[Loss]:
    return load_registry(Loss, "losses", [L2, L1])


def test_a_package_adds_a_loss(site: Path) -> None:
    install(site, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN})
    losses = table()
    assert list(losses) == ["l2", "l1", "twin"]
    assert len(losses) == 3
    assert "twin" in losses
    assert re.search(schema_pattern(losses), "twin(width=0.7)")
    assert "twin_losses" not in sys.modules
    assert parse("l1", "losses", losses) == L1()
    assert parse(L1(), "losses", losses) == L1()
    assert "twin_losses" not in sys.modules
    twin = parse("twin(width=0.7)", "losses", losses)
    assert "twin_losses" in sys.modules
    assert str(twin) == "twin(width=0.7)"
    assert parse(twin, "losses", losses) is twin
    assert twin == parse(str(twin), "losses", losses)
    assert "width" in refusal(parse, "twin(width=0)", "losses", losses)
    assert refusal(parse, "twinn", "losses", losses).endswith("did you mean twin?")
    assert losses.package("twin") == "twin-losses 1.2"
    assert losses.package("l1") is None


def test_only_entry_points_of_installed_packages_are_imported(site: Path) -> None:
    (site / "elsewhere.py").write_text("raise SystemExit")
    for line in ("elsewhere", "elsewhere:Twin", "elsewhere.Twin", "os"):
        refusal(parse, line, "losses", table())
    assert "elsewhere" not in sys.modules


def test_an_unknown_name_is_not_in_the_registry() -> None:
    assert "twin" not in LOSSES
    with pytest.raises(KeyError):
        LOSSES["twin"]


BROKEN = {
    "no module": ("gone:Twin", "", "cannot be loaded, ModuleNotFoundError: No module named 'gone'"),
    "no object": ("broken:Gone", "", "cannot be loaded, AttributeError"),
    "raises": ("broken:Twin", "raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    "no syntax": ("broken:Twin", "class", "cannot be loaded, SyntaxError"),
    "no reference": ("not a reference", "", "cannot be loaded"),
    "a module": ("broken", "", "is broken, expected a subclass"),
    "a number": ("broken:Twin", "Twin = 1", "is broken:Twin, expected a subclass"),
    "no loss": ("broken:Twin", "class Twin: name = 'twin'", "expected a subclass"),
    "abstract": (
        "broken:Twin",
        HEAD + "class Twin(Loss):\n    name = 'twin'\n    def rho(self, u): return u",
        "is a loss without psi",
    ),
    "no dataclass": ("broken:Twin", TWIN.replace("@dataclass", "# "), "frozen pydantic dataclass"),
    "not frozen": ("broken:Twin", TWIN.replace("frozen=True, ", ""), "frozen pydantic dataclass"),
    "not pydantic's": (
        "broken:Twin",
        TWIN.replace("pydantic.dataclasses", "dataclasses").replace(", config=STRICT", ""),
        "frozen pydantic dataclass",
    ),
    "another name": ("broken:Twin", TWIN.replace('"twin"', '"other"'), "is a loss named 'other'"),
    "no name": ("broken:Twin", TWIN.replace('name = "twin"', ""), "is a loss named None"),
}


@pytest.mark.parametrize(("value", "source", "reason"), BROKEN.values(), ids=BROKEN)
def test_the_error_names_a_broken_package_and_the_reason(
    value: str, source: str, reason: str, site: Path
) -> None:
    install(site, "broken-losses", {"twin": value}, {"broken": source})
    losses = table()
    assert parse("l2", "losses", losses) == L2()
    assert re.search(schema_pattern(losses), "twin")
    message = refusal(parse, "twin(width=1)", "losses", losses)
    assert message.startswith("losses: the entry point twin of broken-losses 1.2 ")
    assert reason in message


def test_a_package_cannot_replace_a_built_in_loss(site: Path) -> None:
    install(site, "twin-losses", {"l1": "twin_losses:Twin"}, {"twin_losses": TWIN})
    losses = table()
    assert list(losses) == ["l2", "l1"]
    assert refusal(parse, "l1", "losses", losses) == (
        "losses: the entry point l1 of twin-losses 1.2 takes the name of a loss that is built in"
    )
    assert parse("l2", "losses", losses) == L2()
    assert "twin_losses" not in sys.modules


def test_two_packages_may_not_add_the_same_name(site: Path) -> None:
    for package in ("first", "second"):
        install(site, package, {"twin": f"{package}_losses:Twin"}, {f"{package}_losses": TWIN})
    message = refusal(parse, "twin", "losses", table())
    assert "first 1.2" in message
    assert "second 1.2" in message


def test_an_entry_point_with_an_invalid_name_is_ignored(site: Path) -> None:
    install(site, "twin-losses", {"Twin (x": "twin_losses:Twin"}, {"twin_losses": TWIN})
    assert list(table()) == ["l2", "l1"]


def python(site: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a new process that finds the packages installed in `site`."""
    path = os.pathsep.join([str(ROOT), str(site)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process


TRAIN = """
import json
from regress.study import Study
from regress.losses import LOSSES
from tests.helpers import execute

study = Study(**{
    "name": "twins",
    "problem": "linear(rows=100, val=50)",
    "contaminations": ["vertical(fraction=0.1, shift=10)"],
    "losses": ["huber(delta=0.7)", "twin(width=0.7)"],
    "replicates": 3,
    "epochs": 4,
})
table = execute(study)[0].table.to_pandas()
measured = ["params_digest", "train_loss", "val_loss", "param_error"]
rows = {trial: group[measured].values.tolist() for trial, group in table.groupby("trial")}
print(json.dumps([rows[trial.digest] for trial in study.trials]))
"""


def test_an_added_loss_with_a_scalar_form_has_the_bits_of_the_built_in_loss(tmp_path: Path) -> None:
    install(tmp_path, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN + SCALAR_FORM})
    huber, twin = json.loads(python(tmp_path, TRAIN).stdout)
    assert len(huber) == 12
    assert twin == huber


def test_an_added_loss_without_a_scalar_form_is_trained_by_torch(tmp_path: Path) -> None:
    install(tmp_path, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN})
    huber, twin = json.loads(python(tmp_path, TRAIN).stdout)
    assert twin != huber
    for (_, *expected), (_, *measured) in zip(huber, twin, strict=True):
        assert measured == pytest.approx(expected, rel=1e-5)


def test_a_changed_scalar_form_is_recompiled(tmp_path: Path) -> None:
    for width in ("width", "2 * width"):
        site = tmp_path / width
        site.mkdir()
        form = SCALAR_FORM.replace("clamp(u, -width, width)", f"clamp(u, -({width}), {width})")
        install(site, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN + form})
        huber, twin = json.loads(python(site, TRAIN).stdout)
        assert (twin == huber) == (width == "width")


def test_a_scalar_form_that_cannot_be_compiled_is_reported_once(tmp_path: Path) -> None:
    form = SCALAR_FORM.replace("clamp(u, -width, width)", "eval('u')")
    install(tmp_path, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN + form})
    process = python(tmp_path, TRAIN)
    huber, twin = json.loads(process.stdout)
    for (_, *expected), (_, *measured) in zip(huber, twin, strict=True):
        assert measured == pytest.approx(expected, rel=1e-5)
    assert process.stderr.count("psi is computed by torch") == 1
    assert "Traceback" not in process.stderr


COMMANDS = """
from flows.cli.main import execute
from regress.study.load import load

print(*(execute(["run", "--set", f"losses={name}"]) for name in ("twin", "l1")))
print(*load("default", ["losses=l2, huber"]).losses)
"""


def test_a_broken_package_stops_only_studies_that_name_it(tmp_path: Path) -> None:
    install(tmp_path, "broken-losses", {"twin": "gone:Twin", "l1": "gone:L1"}, {})
    process = python(tmp_path, COMMANDS)
    assert process.stdout.splitlines() == ["2 2", "l2 huber(delta=1.0)"]
    stderr = " ".join(process.stderr.split())
    assert stderr.count("the entry point") == stderr.count("of broken-losses 1.2") == 2
    assert "Traceback" not in stderr


def test_iterating_over_the_items_of_a_registry_raises_input_error(site: Path) -> None:
    install(site, "broken-losses", {"twin": "gone:Twin"}, {})
    with pytest.raises(InputError):
        dict(table())
