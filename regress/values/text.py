"""One line of text for a value: `huber(delta=1.0)`, `easy-to-hard`, `linear(w=[2.0, -3.4], b=4.2)`.

The line is read once, at the boundary, against the table of what exists, and never evaluated.
Numbers are always printed; a choice (`surrogate=oracle`), a text (`path="my.csv"`) or a setting left
empty is printed only where it differs from its default. Printing and parsing are inverse.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from keyword import iskeyword
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, ValidationError

from regress.errors import InputError, nearest

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

_LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)\s*(?:\((?P<arguments>.*)\))?", re.DOTALL)
_SWITCHES = {"true": True, "false": False}
_WORD = re.compile(r"[a-z][a-z0-9_]*")


class Form:
    """A frozen dataclass with a name, written as `name` or `name(argument=value, ...)`."""

    name: ClassVar[str]

    def __str__(self) -> str:
        return self.text_without()

    def text_without(self, *names: str) -> str:
        """Return the line of text, the fields `names` being left out."""
        arguments = [
            f"{field.name}={_literal(value)}"
            for field in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if field.name not in names and _is_printed(value := getattr(self, field.name), field.default)
        ]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name


F = TypeVar("F", bound=Form)


def parse(line: object, kind: str, table: Mapping[str, type[F]]) -> F:
    """The value that `line` names, from `table`; a value of the table passes through.

    Raises InputError with the nearest name that exists, or the argument at fault.
    """
    if isinstance(line, Form) and line.name in table and isinstance(line, table[line.name]):
        return line
    if not isinstance(line, str):
        raise InputError(f"{kind}: {line!r} is not a line of text such as {next(iter(table))}")
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise InputError(
            f"{kind}: {line!r} is not of the form name or name(argument=value, ...)"
            " (in a YAML [list], quote a line that holds commas)"
        )
    name = match["name"]
    if name not in table:
        raise InputError(f"{kind}: {name!r} is unknown; {nearest(name, table)}")
    return _construct(table[name], kind, _arguments(match["arguments"] or "", line, kind))


def pattern(table: Mapping[str, type[Form]]) -> str:
    """A regular expression for JSON schemas: the names of `table`, with or without arguments."""
    return rf"^\s*({'|'.join(table)})\s*(\([\s\S]*\))?\s*$"


def _is_printed(value: object, default: object) -> bool:
    is_number = isinstance(value, int | float | tuple) and not isinstance(value, bool)
    return is_number or default is MISSING or value != default


def _literal(value: object) -> str:
    if isinstance(value, str):
        return value if _is_word(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _arguments(text: str, line: str, kind: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("not one call with arguments by keyword")
        names = [keyword.arg for keyword in call.keywords]
        if None in names or len(set(names)) < len(names):
            raise ValueError("an argument without a name, or given twice")
        return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise InputError(
            f"{kind}: the arguments of {line!r} are not of the form (argument=value, ...), each once,"
            " a value being a number, a word, a quoted text or a [list]"
        ) from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _SWITCHES.get(node.id, node.id)
    if isinstance(node, ast.List):
        return tuple(map(_value, node.elts))
    value = ast.literal_eval(node)
    if isinstance(value, set | dict | tuple):
        raise ValueError(f"a {type(value).__name__} is no value here")
    return value


def _is_word(text: str) -> bool:
    return bool(_WORD.fullmatch(text)) and text not in _SWITCHES and not iskeyword(text)


def _construct(cls: type[F], kind: str, arguments: dict[str, Any]) -> F:
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for name in arguments:
        if name not in known:
            hint = nearest(name, known) if known else "it takes none"
            raise InputError(f"{kind}: {cls.name} has no argument {name!r}; {hint}")
    try:
        return cls(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "missing_argument" or first["type"] == "missing":
            raise InputError(f"{kind}: {cls.name} needs the argument {first['loc'][0]!r}") from None
        where = f"{cls.name}({first['loc'][0]})" if first["loc"] else cls.name
        raise InputError(f"{kind}: {where}: {explain(first)}") from None


def explain(error: Mapping[str, Any]) -> str:
    """One pydantic error as a clause: what was expected, and what was given."""
    if isinstance(cause := error.get("ctx", {}).get("error"), Exception):
        return str(cause)
    message = str(error["msg"]).replace("valid tuple", "list")
    given = error["input"]
    message = message[0].lower() + message[1:]
    return f"{message}, not {given!r}" if isinstance(given, (str, int, float)) else message
