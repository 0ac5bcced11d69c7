"""Losses that an installed package adds: found by importlib.metadata, loaded when they are named."""

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
from regress.values.text import parse, pattern
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
    '''Huber's loss by another way.'''

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
    """What pip leaves of a package: its modules, and a dist-info beside them."""
    info = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[regress.losses]", *lines, ""]))
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path to install into; what is imported from it is forgotten afterwards."""
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
    assert re.search(pattern(losses), "twin(width=0.7)")
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


def test_only_what_is_installed_is_imported(site: Path) -> None:
    (site / "elsewhere.py").write_text("raise SystemExit")
    for line in ("elsewhere", "elsewhere:Twin", "elsewhere.Twin", "os"):
        refusal(parse, line, "losses", table())
    assert "elsewhere" not in sys.modules


def test_an_unknown_name_is_not_in_the_table() -> None:
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
def test_a_broken_package_is_named_to_who_asks_for_it(
    value: str, source: str, reason: str, site: Path
) -> None:
    install(site, "broken-losses", {"twin": value}, {"broken": source})
    losses = table()
    assert parse("l2", "losses", losses) == L2()
    assert re.search(pattern(losses), "twin")
    message = refusal(parse, "twin(width=1)", "losses", losses)
    assert message.startswith("losses: the entry point twin of broken-losses 1.2 ")
    assert reason in message


def test_a_built_in_name_is_not_given_away(site: Path) -> None:
    install(site, "twin-losses", {"l1": "twin_losses:Twin"}, {"twin_losses": TWIN})
    losses = table()
    assert list(losses) == ["l2", "l1"]
    assert refusal(parse, "l1", "losses", losses) == (
        "losses: the entry point l1 of twin-losses 1.2 takes the name of a loss that is built in"
    )
    assert parse("l2", "losses", losses) == L2()
    assert "twin_losses" not in sys.modules


def test_two_packages_may_not_share_a_name(site: Path) -> None:
    for package in ("one", "another"):
        install(site, package, {"twin": f"{package}_losses:Twin"}, {f"{package}_losses": TWIN})
    message = refusal(parse, "twin", "losses", table())
    assert "one 1.2" in message
    assert "another 1.2" in message


def test_a_name_that_no_study_could_hold_is_left_out(site: Path) -> None:
    install(site, "twin-losses", {"Twin (x": "twin_losses:Twin"}, {"twin_losses": TWIN})
    assert list(table()) == ["l2", "l1"]


def python(site: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(site)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


TRAIN = """
import json
from regress.study.load import validate
from regress.losses import LOSSES
from tests.helpers import execute

study = validate({
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


def test_an_added_loss_with_a_scalar_form_trains_bit_for_bit_as_its_equal(tmp_path: Path) -> None:
    install(tmp_path, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN + SCALAR_FORM})
    huber, twin = json.loads(python(tmp_path, TRAIN).stdout)
    assert len(huber) == 12
    assert twin == huber


def test_an_added_loss_without_one_is_trained_by_torch_and_agrees_to_rounding(tmp_path: Path) -> None:
    install(tmp_path, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN})
    huber, twin = json.loads(python(tmp_path, TRAIN).stdout)
    assert twin != huber
    for (_, *expected), (_, *measured) in zip(huber, twin, strict=True):
        assert measured == pytest.approx(expected, rel=1e-5)


def test_a_scalar_form_that_changed_is_compiled_anew(tmp_path: Path) -> None:
    for width in ("width", "2 * width"):
        site = tmp_path / width
        site.mkdir()
        form = SCALAR_FORM.replace("clamp(u, -width, width)", f"clamp(u, -({width}), {width})")
        install(site, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN + form})
        huber, twin = json.loads(python(site, TRAIN).stdout)
        assert (twin == huber) == (width == "width")


def test_a_scalar_form_that_cannot_be_compiled_is_told_once_and_trained_by_torch(tmp_path: Path) -> None:
    form = SCALAR_FORM.replace("clamp(u, -width, width)", "eval('u')")
    install(tmp_path, "twin-losses", {"twin": "twin_losses:Twin"}, {"twin_losses": TWIN + form})
    done = python(tmp_path, TRAIN)
    huber, twin = json.loads(done.stdout)
    for (_, *expected), (_, *measured) in zip(huber, twin, strict=True):
        assert measured == pytest.approx(expected, rel=1e-5)
    assert done.stderr.count("psi is computed by torch") == 1
    assert "Traceback" not in done.stderr


COMMANDS = """
from flows.cli.main import execute
from regress.study.load import load

print(*(execute(["run", "--set", f"losses={name}"]) for name in ("twin", "l1")))
print(*load("default", ["losses=l2, huber"]).losses)
"""


def test_a_broken_package_stops_only_the_study_that_names_it(tmp_path: Path) -> None:
    install(tmp_path, "broken-losses", {"twin": "gone:Twin", "l1": "gone:L1"}, {})
    done = python(tmp_path, COMMANDS)
    assert done.stdout.splitlines() == ["2 2", "l2 huber(delta=1.0)"]
    said = " ".join(done.stderr.split())
    assert said.count("the entry point") == said.count("of broken-losses 1.2") == 2
    assert "Traceback" not in said


def test_the_table_refuses_in_the_words_of_bad_input(site: Path) -> None:
    install(site, "broken-losses", {"twin": "gone:Twin"}, {})
    with pytest.raises(InputError):
        dict(table())
