"""Commands in hints, as they have to be typed where they are shown."""

import sys
from pathlib import Path

import pytest

from flows.runtime.shown_command import shown_command


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment's folder of scripts, `env dir/bin`, in the working folder."""
    folder = tmp_path / "env dir" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "regress"):
        script(folder / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setenv("PATH", "/nowhere")
    return folder


def script(file: Path) -> None:
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)


def test_a_command_on_the_path_is_its_name(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(environment))
    assert shown_command("regress") == "regress"


def test_a_link_to_it_on_the_path_is_its_name(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "regress").symlink_to(environment / "regress")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shown_command("regress") == "regress"


@pytest.mark.usefixtures("environment")
def test_below_the_working_folder_it_is_a_relative_path() -> None:
    assert shown_command("regress") == "'env dir/bin/regress'"


def test_in_the_working_folder_it_is_not_looked_up_on_the_path(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(environment)
    assert shown_command("regress") == "./regress"


def test_elsewhere_it_is_an_absolute_path(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert shown_command("regress") == f"'{environment}/regress'"


def test_another_environment_s_command_on_the_path_does_not_count(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "regress")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shown_command("regress") == "'env dir/bin/regress'"


def test_the_running_command_comes_first(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "regress")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "regress")])
    assert shown_command("regress") == "./regress"


@pytest.mark.usefixtures("environment")
def test_without_a_script_it_is_a_module() -> None:
    assert shown_command("mlflow") == "'env dir/bin/python' -m mlflow"


def test_the_command_is_also_a_module(environment: Path) -> None:
    (environment / "regress").unlink()
    assert shown_command("regress") == "'env dir/bin/python' -m flows.cli"
