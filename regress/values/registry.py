"""Registries of classes by name: the built-in ones, and those that installed packages add.

A package adds a loss by an entry point of the group `regress.losses`, an order by one of `regress.orders`,
a contamination by one of `regress.contaminations`, and a problem by one of `regress.problems`. The name of
the entry point is the name of the class, and its object is a frozen pydantic dataclass derived from the
base class. Entry points are loaded on lookup: a study imports only the packages that it names, and a broken
package is reported only for the studies that use it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from typing import Any, Generic, TypeVar, cast

from pydantic.dataclasses import is_pydantic_dataclass

from regress.errors import InputError
from regress.values.text import Form

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")

F = TypeVar("F", bound=Form)


class Registry(Mapping[str, type[F]], Generic[F]):
    """A mapping from names to classes of one kind, e.g. losses.

    Looking up a class of an installed package imports that package; listing the names imports nothing.
    Entry points are ignored if their name is not of the form that a study can contain.
    """

    def __init__(
        self, base: type[Any], kind: str, built_in: Iterable[type[F]], entries: Iterable[EntryPoint] = ()
    ) -> None:
        """Register the `built_in` classes and the entry points `entries`.

        `base` is the class that all must derive from, and `kind` the plural used in error messages.
        """
        self.base, self.kind = base, kind
        self._built_in = {cls.name: cls for cls in built_in}
        self._entries: dict[str, list[EntryPoint]] = {}
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                self._entries.setdefault(entry.name, []).append(entry)

    def __getitem__(self, name: str) -> type[F]:
        """Return the class of this name, imported if need be.

        Raises InputError, with the package and the entry point, if an entry point is invalid or its name is
        taken. Raises KeyError for an unknown name.
        """
        entries = self._entries.get(name, [])
        if name in self._built_in:
            if entries:
                raise self._input_error(entries[0], f"takes the name of a {self.singular} that is built in")
            return self._built_in[name]
        if len(entries) > 1:
            raise self._input_error(entries[0], f"is also one of {_package(entries[1])}; keep one of them")
        return self._load(self._entries[name][0])

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._built_in | self._entries)

    def __len__(self) -> int:
        return len(self._built_in | self._entries)

    @property
    def singular(self) -> str:
        """The kind's name in the singular, e.g. `loss`."""
        return self.base.__name__.lower()

    def package(self, name: str) -> str | None:
        """Return name and version of the package that adds this class, or None if it is built in."""
        return None if name in self._built_in else _package(self._entries[name][0])

    def _load(self, entry: EntryPoint) -> type[F]:
        """Import and check the class of an entry point; raise InputError if it is not a valid one."""
        try:
            cls = entry.load()
        except Exception as error:  # importing a third-party module may raise any exception
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise self._input_error(entry, f"cannot be loaded, {reason}") from error
        if not isinstance(cls, type) or not issubclass(cls, self.base):
            expected = f"regress.{self.kind}.{self.base.__name__}"
            raise self._input_error(entry, f"is {entry.value}, expected a subclass of {expected}")
        if isabstract(cls):
            missing = ", ".join(sorted(vars(cls)["__abstractmethods__"]))
            raise self._input_error(entry, f"is a {self.singular} without {missing}")
        if not (is_pydantic_dataclass(cls) and vars(cls)["__dataclass_params__"].frozen):
            raise self._input_error(entry, f"is {entry.value}, expected a frozen pydantic dataclass")
        if (name := getattr(cls, "name", None)) != entry.name:
            raise self._input_error(
                entry, f"is a {self.singular} named {name!r}, expected the entry's own name"
            )
        return cast(type[F], cls)

    def _input_error(self, entry: EntryPoint, reason: str) -> InputError:
        return InputError(f"{self.kind}: the entry point {entry.name} of {_package(entry)} {reason}")


def load_registry(base: type[Any], kind: str, built_in: Iterable[type[F]]) -> Registry[F]:
    """Return a registry of the `built_in` classes and those that installed packages add to them."""
    return Registry(base, kind, built_in, entry_points(group=f"regress.{kind}"))


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed package"
