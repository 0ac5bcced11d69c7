"""Layers and declared dependencies, read from the source's imports."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = ("regress", "tasks", "flows")


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for folder in OWN for file in (ROOT / folder).rglob("*.py")}


@cache
def imports(module: str) -> frozenset[str]:
    """All that a module's source imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & set(MODULES)) | {str(node.module)}
    return frozenset(found)


def packages(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def test_there_is_something_to_read() -> None:
    assert {"regress.fleet", "regress.tracking.bulk", "tasks.train", "flows.robustness"} <= set(MODULES)
    assert "regress.losses" in imports("regress.fleet.engines")
    assert "regress.numerics.streams" in imports("regress.orders.drawn")
    assert "numpy" in packages("regress.fleet.engines")


def test_third_parties_are_declared_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    declared = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}
    known = packages_distributions()
    for module in MODULES:
        for package in packages(module) - set(sys.stdlib_module_names) - set(OWN):
            providers = {name.lower().replace("_", "-") for name in known.get(package, [package])}
            assert providers & declared, (
                f"{module} imports {package}, which pyproject.toml does not declare"
            )


def test_the_layers_hold() -> None:
    """The contracts stand in pyproject.toml; `make lint` checks the same."""
    program = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
