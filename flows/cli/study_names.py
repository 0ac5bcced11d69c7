"""Names of the shipped studies for shell completion, read without importing torch."""

from importlib.resources import files
from pathlib import PurePath


def complete_study(incomplete: str) -> list[str]:
    """Return the names of the shipped studies that start with `incomplete`."""
    folder = files("regress") / "study" / "shipped"
    names = (PurePath(file.name) for file in folder.iterdir())
    return sorted(
        name.stem for name in names if name.suffix == ".yaml" and name.stem.startswith(incomplete)
    )
