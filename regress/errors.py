"""Errors that are shown to the user as one sentence: what is wrong, where, and what was expected."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Invalid input: a field, a row, a file or an address that cannot be used."""


class ServiceLost(RuntimeError):
    """A store, a disk or a service failed during a run; the study can be resumed."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown word: `did you mean ...?`, or `expected one of ...` without a match."""
    names = sorted(known)
    matches = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {matches[0]}?" if matches else f"expected one of {', '.join(names)}"
