"""Where this machine keeps what belongs to no study and no store."""

import os
from pathlib import Path

from regress.errors import InputError


def home() -> Path:
    """The folder `REGRESS_HOME`, by default `.regress` in the user's own; created if need be.

    Raises InputError where nothing can be written there.
    """
    folder = Path(os.environ.get("REGRESS_HOME") or Path.home() / ".regress")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"REGRESS_HOME: cannot make {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"REGRESS_HOME: {folder} is not writable, expected a folder that is")
    return folder
