"""The folder for this machine's caches, checkpoints and leases, shared by all studies and stores."""

import os
from pathlib import Path

from regress.errors import InputError


def home() -> Path:
    """Return the folder `REGRESS_HOME`, by default `~/.regress`, and create it if it does not exist.

    Raises InputError if it cannot be created or is not writable.
    """
    folder = Path(os.environ.get("REGRESS_HOME") or Path.home() / ".regress")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"REGRESS_HOME: cannot create {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"REGRESS_HOME: {folder} is not writable, expected a folder that is")
    return folder
