"""Trials chosen and sorted by what they recorded: `loss=huber and lr<1`.

Conditions `name op value`, op one of = != < <= > >=, joined by `and`. Numbers compare as numbers. The bare
name of a loss, an order or a contamination takes every one of that name, `huber(delta=2)` only its own. A
name or a value with other characters stands in double quotes, JSON's. Nothing is evaluated.
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

Fields = Mapping[str, str | float]  # params as text, metrics as numbers; what was not finite is not there

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
        """Whether `fields` meet it; a metric that is not there was not finite, and counts as infinite.

        Raises InputError where a text is asked to be smaller or larger.
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
    """The conditions that `text` joins by `and`; raises InputError at the first that is none."""
    conditions, at = [], 0
    while True:
        match = _CONDITION.match(text, at)
        if match is None:
            raise InputError(
                f"--where: {text[at:].strip()!r} is not of the form name op value,"
                f" op being one of {' '.join(_OPERATORS)}"
            )
        conditions.append(Condition(_unquoted(match["name"]), match["op"], _unquoted(match["value"])))
        if match.end() == len(text):
            return tuple(conditions)
        joint = _AND.match(text, match.end())
        if joint is None:
            raise InputError(
                f"--where: expected 'and' before {text[match.end() :]!r} (quote a value that holds blanks)"
            )
        at = joint.end()


def select(rows: Sequence[Fields], conditions: Sequence[Condition]) -> list[Fields]:
    """The rows that meet every condition; raises InputError at a field that no row has."""
    for condition in conditions:
        _check_known(condition.name, rows, "--where")
    exact = [_canonical(condition) for condition in conditions]
    return [row for row in rows if all(condition.holds(row) for condition in exact)]


def arrange(rows: Sequence[Fields], by: str) -> list[Fields]:
    """Sorted by the field `by`, from the largest where it starts with `-`; equals keep their order.

    Numbers come before texts; what is not there was not finite, and counts as infinite.
    """
    name = by.removeprefix("-")
    _check_known(name, rows, "--sort")
    return sorted(rows, key=lambda row: _rank(row.get(name, math.inf)), reverse=by != name)


def _check_known(name: str, rows: Sequence[Fields], option: str) -> None:
    known = {field for row in rows for field in row}
    if name not in known:
        raise InputError(f"{option}: no trial has a param or metric {name!r}; {suggest(name, known)}")


def _canonical(condition: Condition) -> Condition:
    """With a form's arguments as they are recorded: huber(delta=1) is huber(delta=1.0)."""
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
