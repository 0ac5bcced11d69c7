"""Two environments held against one another: what differs, and whether the bits may differ with it."""

from collections.abc import Iterator, Mapping
from typing import Any

Environment = Mapping[str, Any]  # the content of an execution's environment.json
Change = tuple[str | None, str | None]  # then, now; None where it was not recorded

# What a number's last bit may hang on: who adds in which order, who rounds a logarithm how. The rest
# (MLflow's version, the kernel, how many threads) is shown where it differs, and changes no bit.
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
# The processor, and what tells libraries to compute as on another one.
_PROCESSOR = ("torch.cpu_capability", "processor", "vector_instructions", "switches")


def changes(then: Environment, now: Environment) -> dict[str, Change]:
    """Each thing that differs by name: what it was, what it is; of several lines those that differ."""
    old, new = dict(_flat(then)), dict(_flat(now))
    names = dict.fromkeys([*old, *new])
    return {
        name: (_without(old.get(name), new.get(name)), _without(new.get(name), old.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    }


def may_change_bits(found: Mapping[str, Change], is_portable: bool = False) -> bool:
    """Whether one of `found` decides bits; another processor does not where the study is portable.

    What an older version did not record is not held against it.
    """
    decisive = _SOFTWARE if is_portable else _SOFTWARE + _PROCESSOR
    return any(name in found and None not in found[name] for name in decisive)


def is_another_processor(found: Mapping[str, Change]) -> bool:
    """Whether the rerun had another processor, or libraries that were told to compute as on another."""
    return any(name in found and None not in found[name] for name in _PROCESSOR)


def changed_files(then: Environment, now: Environment) -> list[str] | None:
    """The package's files that differ, are new or gone; None where one side did not record them."""
    old, new = then.get("files"), now.get("files")
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return None
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _flat(environment: Environment, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name in ("files", "git"):
            continue  # `code` says whether they differ where it matters, `changed_files` which do
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)


def _without(text: str | None, other: str | None) -> str | None:
    """The lines of `text` that `other` does not have."""
    if text is None or other is None:
        return text
    known = other.splitlines()
    return "; ".join(line.strip() for line in text.splitlines() if line not in known)
