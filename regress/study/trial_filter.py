"""Selection and sorting of recorded trials by their params and metrics, e.g. `loss=huber and lr<1`.

Conditions have the form `name op value`, op being one of = != < <= > >=, and are joined by `and`. Two
numbers are compared as numbers. `loss=huber` matches Huber losses with any arguments, `loss=huber(delta=2)`
only that one; orders and contaminations likewise. Names and values with other characters are put in double
quotes, escaped as in JSON. No text is evaluated as code.
"""

import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from regress.contaminations import CONTAMINATIONS
from regress.errors import InputError, suggest
from regress.losses import LOSSES
from regress.orders import ORDERS
from regress.problems import PROBLEMS
from regress.values.text import Form, parse

Fields = Mapping[str, str | float]  # params as text, metrics as numbers; non-finite metrics are missing

_FORMS: dict[str, Mapping[str, type[Form]]] = {
    "loss": LOSSES,
    "order": ORDERS,
    "contamination": CONTAMINATIONS,
    "problem": PROBLEMS,
}
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NAME = r"[\w./:-]+"
_VALUE = rf'[^\s"=!<>()]+(?:\((?:[^()"]|{_QUOTED})*\))?'
_CONDITION = re.compile(
    rf"\s*(?P<name>{_NAME}|{_QUOTED})\s*(?P<op>[!<>]=|[=<>])\s*(?P<value>{_VALUE}|{_QUOTED})\s*"
)
_AND = re.compile(r"and\b")


@dataclass(frozen=True)
class Condition:
    """One comparison of a trial's param or metric with a value."""

    name: str
    op: str
    value: str

    def __str__(self) -> str:
        return f"{_plain_or_quoted(self.name, _NAME)}{self.op}{_plain_or_quoted(self.value, _VALUE)}"

    def holds(self, fields: Fields) -> bool:
        """Whether `fields` meet the condition; a missing metric was not finite and counts as infinite.

        Raises
        ------
        InputError
            A text is compared by < <= > or >=.
        """
        given = fields.get(self.name, math.inf)
        left, right = _number(given), _number(self.value)
        if left is not None and right is not None:
            return _OPERATORS[self.op](left, right)
        if self.op not in ("=", "!="):
            raise InputError(f"--where: {self} compares texts, expected numbers on both sides of {self.op}")
        is_equal = given == self.value or str(given).startswith(f"{self.value}(")
        return is_equal == (self.op == "=")


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions that `text` joins by `and`.

    Raises
    ------
    InputError
        A part of the text is not a condition.
    """
    conditions, position = [], 0
    while True:
        match = _CONDITION.match(text, position)
        if match is None:
            raise InputError(
                f"--where: {text[position:].strip()!r} is not of the form name op value,"
                f" op being one of {' '.join(_OPERATORS)}"
            )
        conditions.append(Condition(_unquoted(match["name"]), match["op"], _unquoted(match["value"])))
        if match.end() == len(text):
            return tuple(conditions)
        conjunction = _AND.match(text, match.end())
        if conjunction is None:
            raise InputError(
                f"--where: expected 'and' before {text[match.end() :]!r} (quote a value with blanks)"
            )
        position = conjunction.end()


def select(rows: Sequence[Fields], conditions: Sequence[Condition]) -> list[Fields]:
    """Return the rows that meet all conditions.

    Raises
    ------
    InputError
        No row has a field that a condition names.
    """
    for condition in conditions:
        _check_known(condition.name, rows, "--where")
    canonical = [_canonical(condition) for condition in conditions]
    return [row for row in rows if all(condition.holds(row) for condition in canonical)]


def sort_trials(rows: Sequence[Fields], by: str) -> list[Fields]:
    """Return the rows sorted by the field `by`, in descending order if it starts with `-`.

    The sort is stable. Numbers come before texts; a missing metric was not finite and counts as infinite.

    Raises
    ------
    InputError
        No row has the field.
    """
    name = by.removeprefix("-")
    _check_known(name, rows, "--sort")
    return sorted(rows, key=lambda row: _rank(row.get(name, math.inf)), reverse=by != name)


def _check_known(name: str, rows: Sequence[Fields], option: str) -> None:
    known = {field for row in rows for field in row}
    if name not in known:
        raise InputError(f"{option}: no trial has a param or metric {name!r}; {suggest(name, known)}")


def _canonical(condition: Condition) -> Condition:
    """Return the condition with arguments as they are recorded, e.g. huber(delta=1) as huber(delta=1.0)."""
    table = _FORMS.get(condition.name)
    if table is None or "(" not in condition.value:
        return condition
    return replace(condition, value=str(parse(condition.value, f"--where: {condition.name}", table)))


def _rank(value: str | float) -> tuple[bool, float, str]:
    number = _number(value)
    return (True, 0.0, str(value)) if number is None else (False, number, "")


def _number(value: str | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _plain_or_quoted(text: str, plain: str) -> str:
    return text if re.fullmatch(plain, text) else json.dumps(text, ensure_ascii=False)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        raise InputError(f"--where: {text} is not a text in JSON's quotes") from None
