"""The errors that a user can cause, each one sentence: what, where, what was expected."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input: a field, a row, a file or an address that cannot be used."""


class ServiceLost(RuntimeError):
    """A store or a disk failed in the middle of a study, which can be resumed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """What to offer for a misspelt word: `did you mean ...?`, or all that exists."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(names)}"
