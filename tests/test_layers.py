"""Arrows go one way: flows, tasks, regress; what imports what is read from the source."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

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


def reached(module: str) -> set[str]:
    """A module of ours and those that it imports, directly or not."""
    seen, ahead = set(), [module]
    while ahead:
        if (name := ahead.pop()) in MODULES and name not in seen:
            seen.add(name)
            ahead += imports(name)
    return seen


def inside(*folders: str) -> list[str]:
    return [
        name
        for name in MODULES
        if name.startswith(tuple(f"{folder}." for folder in folders)) or name in folders
    ]


def test_there_is_something_to_read() -> None:
    assert {"regress.fleet", "regress.tracking.bulk", "tasks.train", "flows.robustness"} <= set(MODULES)
    assert "regress.losses" in imports("regress.fleet.engines")
    assert "regress.numerics.streams" in imports("regress.orders.drawn")
    assert "numpy" in packages("regress.fleet.engines")


@pytest.mark.parametrize("module", inside("regress"))
def test_regress_knows_nothing_of_prefect_nor_of_what_calls_it(module: str) -> None:
    assert not packages(module) & {"prefect", "tasks", "flows"}


@pytest.mark.parametrize("module", inside("regress"))
def test_only_tracking_knows_mlflow(module: str) -> None:
    assert "mlflow" not in packages(module) or module.startswith("regress.tracking")


@pytest.mark.parametrize("module", inside("tasks"))
def test_tasks_know_nothing_of_flows(module: str) -> None:
    assert "flows" not in packages(module)
    assert "mlflow" not in packages(module)


def test_the_fleet_knows_neither_plots_nor_tracking() -> None:
    knows = reached("regress.fleet.engines")
    assert not [name for name in knows if name.startswith(("regress.plots", "regress.tracking"))]
    assert not {"matplotlib", "mlflow", "prefect"} & {name for module in knows for name in packages(module)}


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


def test_heavy_libraries_stay_in_tracking_and_plots() -> None:
    heavy = {"mlflow", "sqlalchemy", "rich", "typer", "matplotlib", "PIL"}
    for module in inside("regress"):
        if not module.startswith(("regress.tracking", "regress.plots")):
            assert not packages(module) & heavy, module
