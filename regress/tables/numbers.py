"""Numbers as people write them: `1,322`, `5.53%`, `€ 12`, `1.234,5`, `(3)`, `−7`."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Decimal = Literal[".", ","]

MISSING = frozenset(
    ["", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "missing", "#value!"]
)
_CODES = re.compile(r"^(?:usd|eur|gbp|chf|jpy)\s*|\s*(?:usd|eur|gbp|chf|jpy)$", re.IGNORECASE)
_EXACT = 2**53  # float64 holds all integers up to this


def _pattern(decimal: Decimal, thousands: str) -> re.Pattern[str]:
    digits = rf"(?:\d{{1,3}}(?:[{thousands}]\d{{3}})+|\d+)"
    return re.compile(rf"[+-]?(?:{digits}(?:[{decimal}]\d*)?|[{decimal}]\d+)(?:e[+-]?\d+)?", re.IGNORECASE)


_BLANKS = "\u0020\u00a0\u202f\u2009'\u2019"
_PATTERNS: dict[Decimal, re.Pattern[str]] = {
    ".": _pattern(".", f",{_BLANKS}"),
    ",": _pattern(",", rf"\.{_BLANKS}"),
}
_MARKS = dict.fromkeys(map(ord, _BLANKS))


@dataclass(frozen=True)
class ParsedNumbers:
    """Numbers (n,) minus `offset`, nan where missing; the sign that all carry; the decimal mark.

    `is_ambiguous` tells that the other decimal mark reads them differently, as of `1,322`.
    """

    values: NDArray[np.float64]
    offset: int = 0
    sign: str | None = None
    decimal: Decimal = "."
    is_ambiguous: bool = False


def is_missing(text: str) -> bool:
    """Whether a field stands for a missing value."""
    return text.strip().lower() in MISSING


def parse_numbers(texts: Sequence[str | None], prefer: Decimal = ".") -> ParsedNumbers | None:
    """Return a column of texts as numbers; None where one of them is not a number.

    Signs of currencies and percent signs are removed; a percentage stays in per cent. Where both decimal
    marks are possible `prefer` decides.
    """
    bare, signs = zip(*map(_remove_signs, texts), strict=True) if texts else ((), ())
    given = [text for text in bare if text is not None]
    marks = [mark for mark, pattern in _PATTERNS.items() if all(map(pattern.fullmatch, given))]
    distinct = {sign for text, sign in zip(bare, signs, strict=True) if text is not None}
    if not given or not marks or (len(distinct) > 1 and "%" in distinct):
        return None
    decimal = prefer if prefer in marks else marks[0]
    plain = [None if text is None else _to_plain(text, decimal) for text in bare]
    is_ambiguous = len(marks) == 2 and any(
        text is not None and _to_plain(text, ".") != _to_plain(text, ",") for text in bare
    )
    values, offset = exact_floats(plain)
    return ParsedNumbers(values, offset, _shared_sign(distinct), decimal, is_ambiguous)


def exact_floats(texts: Iterable[str | None]) -> tuple[NDArray[np.float64], int]:
    """Return numbers as float64, nan for None, minus an offset where integers are too large for float64.

    Integers beyond 2**53, such as time stamps in nanoseconds, are centred before they are rounded.
    """
    given = list(texts)
    values = np.array([np.nan if text is None else float(text) for text in given])
    largest = np.nanmax(np.abs(values), initial=0.0)
    if largest <= _EXACT or not all(text is None or re.fullmatch(r"[+-]?\d+", text) for text in given):
        return values, 0
    integers = [None if text is None else int(text) for text in given]
    offset = min(integer for integer in integers if integer is not None)
    return np.array([np.nan if i is None else float(i - offset) for i in integers]), offset


def _remove_signs(text: str | None) -> tuple[str | None, str]:
    """Return a number's text without currency and percent signs, and the sign; None for a missing value."""
    if text is None or is_missing(text):
        return None, ""
    bare = unicodedata.normalize("NFKC", text).strip().replace("\u2212", "-")
    if bare.startswith("(") and bare.endswith(")"):
        bare = "-" + bare[1:-1]
    sign = "%" if bare.endswith("%") else next((c for c in bare if unicodedata.category(c) == "Sc"), "")
    without = _CODES.sub("", bare.replace(sign, "")) if sign else _CODES.sub("", bare)
    return without.strip().replace("- ", "-"), sign


def _to_plain(text: str, decimal: Decimal) -> str:
    other = "," if decimal == "." else "."
    return text.translate(_MARKS).replace(other, "").replace(decimal, ".")


def _shared_sign(signs: set[str]) -> str | None:
    (sign, *others) = sorted(signs)
    return None if others or not sign else sign
