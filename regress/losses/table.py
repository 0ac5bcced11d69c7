"""The table of losses by name: those of this package, and those that installed packages add.

A package adds a loss by an entry point of the group `regress.losses`. The entry's name is the loss's
name; its object is a subclass of Loss that is a frozen pydantic dataclass. An entry is loaded when its
name is asked for: a study imports nothing that it does not name, and a package that is broken is
reported to the study that wants it and to no other.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract

from pydantic.dataclasses import is_pydantic_dataclass

from regress.errors import InputError
from regress.losses.loss import Loss

GROUP = "regress.losses"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class LossTable(Mapping[str, type[Loss]]):
    """Losses by name. Looking up one that a package adds loads it; listing the names loads nothing.

    An entry whose name cannot stand in a study is left out.
    """

    def __init__(self, built_in: Iterable[type[Loss]], entries: Iterable[EntryPoint] = ()) -> None:
        self._built_in = {cls.name: cls for cls in built_in}
        self._entries: dict[str, list[EntryPoint]] = {}
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                self._entries.setdefault(entry.name, []).append(entry)

    def __getitem__(self, name: str) -> type[Loss]:
        """The loss class; raises InputError, naming package and entry, where an entry is at fault."""
        entries = self._entries.get(name, [])
        if name in self._built_in:
            if entries:
                raise _refusal(entries[0], "takes the name of a loss that is built in")
            return self._built_in[name]
        if len(entries) > 1:
            raise _refusal(entries[0], f"is also one of {_package(entries[1])}; keep one of them")
        return _load(self._entries[name][0])

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._built_in | self._entries)

    def __len__(self) -> int:
        return len(self._built_in | self._entries)

    def package(self, name: str) -> str | None:
        """Name and version of the package that adds this loss; None for one that is built in."""
        return None if name in self._built_in else _package(self._entries[name][0])


def load_losses(built_in: Iterable[type[Loss]]) -> LossTable:
    """`built_in` and what the packages installed now add to it."""
    return LossTable(built_in, entry_points(group=GROUP))


def _load(entry: EntryPoint) -> type[Loss]:
    try:
        cls = entry.load()
    except Exception as error:  # whatever a stranger's module raises when it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise _refusal(entry, f"cannot be loaded, {reason}") from error
    if not isinstance(cls, type) or not issubclass(cls, Loss):
        raise _refusal(entry, f"is {entry.value}, expected a subclass of regress.losses.Loss")
    if isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise _refusal(entry, f"is a loss without {missing}")
    if not _is_value(cls):
        raise _refusal(entry, f"is {entry.value}, expected a frozen pydantic dataclass")
    if (name := getattr(cls, "name", None)) != entry.name:
        raise _refusal(entry, f"is a loss named {name!r}, expected the entry's own name")
    return cls


def _is_value(cls: type) -> bool:
    return is_pydantic_dataclass(cls) and bool(vars(cls)["__dataclass_params__"].frozen)


def _refusal(entry: EntryPoint, reason: str) -> InputError:
    return InputError(f"losses: the entry point {entry.name} of {_package(entry)} {reason}")


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed package"
