"""Commands as the user has to type them in this terminal, for hints and error messages."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_MODULES = {"regress": "flows.cli"}  # run by `python -m`; other commands have a module of their own name


def shown_command(name: str) -> str:
    """Return how to run the installed command `name`: its name if on the PATH, else its path.

    Only the command of this Python's environment counts: another one of the same name on the PATH may have
    other versions. Without a script it is run by `python -m`.
    """
    scripts = [script for script in _candidates(name) if script.is_file()]
    on_path = shutil.which(name)
    if on_path is not None and any(script.samefile(on_path) for script in scripts):
        return name
    if scripts:
        return _shown_path(scripts[0])
    return f"{_shown_path(Path(sys.executable))} -m {_MODULES.get(name, name)}"


def _candidates(name: str) -> list[Path]:
    """Return where the script of the same environment may be: beside this one, beside Python."""
    folders = [Path(sys.executable).parent]
    running = Path(sys.argv[0])
    if running.is_file() and os.access(running, os.X_OK):
        folders.insert(0, running.absolute().parent)
    return [folder / name for folder in folders]


def _shown_path(path: Path) -> str:
    """Return `path` quoted for a shell, relative to the working folder if it is inside."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    # A name without a folder would be looked up on the PATH.
    return shlex.quote(str(shown) if len(shown.parts) > 1 else f"./{shown}")
