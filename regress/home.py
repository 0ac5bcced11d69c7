"""Where this machine keeps what belongs to no study and no store."""

import os
from pathlib import Path


def home() -> Path:
    """The folder `REGRESS_HOME`, by default `.regress` in the user's own; created if need be."""
    folder = Path(os.environ.get("REGRESS_HOME") or Path.home() / ".regress")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
