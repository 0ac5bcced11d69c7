"""Differences between two recorded environments, and whether they may change a result's bits."""

from collections.abc import Iterator, Mapping
from typing import Any

Environment = Mapping[str, Any]  # the content of an execution's environment.json
Change = tuple[str | None, str | None]  # recorded, now; None where it was not recorded

# Software that decides a number's last bit: the order of additions, the rounding of a logarithm. All else
# (MLflow's version, the kernel, the number of threads) is shown where it differs but changes no bit.
_SOFTWARE = (
    "python",
    "packages.torch",
    "packages.numpy",
    "packages.numba",
    "packages.llvmlite",
    "packages.scipy",
    "packages.pandas",
    "torch.build",
    "libc",
    "engine",
    "code",
)
# The processor, and settings that make libraries compute as if on another processor.
_PROCESSOR = ("torch.cpu_capability", "processor", "vector_instructions", "switches")


def diff_environments(recorded: Environment, current: Environment) -> dict[str, Change]:
    """Return recorded and current value of each entry that differs, by name.

    Of values with several lines only the lines that differ are kept.
    """
    old, new = dict(_flatten(recorded)), dict(_flatten(current))
    names = dict.fromkeys([*old, *new])
    return {
        name: (
            _lines_only_in(old.get(name), other=new.get(name)),
            _lines_only_in(new.get(name), other=old.get(name)),
        )
        for name in names
        if old.get(name) != new.get(name)
    }


def may_change_bits(changes: Mapping[str, Change], is_portable: bool = False) -> bool:
    """Return whether one of the changes may change a result's bits.

    Another processor changes no bit of a portable study. Entries that an older version did not record
    are ignored.
    """
    decisive = _SOFTWARE if is_portable else _SOFTWARE + _PROCESSOR
    return any(name in changes and None not in changes[name] for name in decisive)


def has_processor_changed(changes: Mapping[str, Change]) -> bool:
    """Return whether the processor differs, or libraries compute as if it did."""
    return any(name in changes and None not in changes[name] for name in _PROCESSOR)


def find_changed_files(recorded: Environment, current: Environment) -> list[str] | None:
    """Return the package's files that differ, are new or are missing; None where a side lacks a record."""
    old, new = recorded.get("files"), current.get("files")
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return None
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _flatten(environment: Environment, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name in ("files", "git"):
            continue  # summarised by `code`; find_changed_files compares single files
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)


def _lines_only_in(text: str | None, *, other: str | None) -> str | None:
    """Return the lines of `text` that `other` does not have, joined by semicolons."""
    if text is None or other is None:
        return text
    known = other.splitlines()
    return "; ".join(line.strip() for line in text.splitlines() if line not in known)
