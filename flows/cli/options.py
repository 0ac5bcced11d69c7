"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

from regress.errors import InputError

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the outcome as JSON.")
]


def check_writable(option: str, file: Path | None) -> None:
    """Raise InputError if the file of an option cannot be written."""
    if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
        raise InputError(f"{option}: cannot write {file}, expected a file in a folder that exists")
