"""Conversion of values to and from one line of text, e.g. `huber(delta=1.0)` or `easy-to-hard`.

A line is parsed against a table of known classes and never evaluated as code. Numbers are always printed;
choices (`surrogate=oracle`), texts (`path="my.csv"`) and empty settings are printed only if they differ
from their default. Printing and parsing are inverse to each other.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from keyword import iskeyword
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, ValidationError

from regress.errors import InputError, suggest

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

_LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)\s*(?:\((?P<arguments>.*)\))?", re.DOTALL)
_SWITCHES = {"true": True, "false": False}
_WORD = re.compile(r"[a-z][a-z0-9_]*")


class Form:
    """Base class of frozen dataclasses that are written as `name` or `name(argument=value, ...)`."""

    name: ClassVar[str]

    def __str__(self) -> str:
        return self.text_without()

    def text_without(self, *names: str) -> str:
        """Return the line of text without the fields `names`."""
        arguments = [
            f"{field.name}={_literal(value)}"
            for field in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if field.name not in names and _is_printed(value := getattr(self, field.name), field.default)
        ]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name


F = TypeVar("F", bound=Form)


def parse(line: object, kind: str, table: Mapping[str, type[F]]) -> F:
    """Parse a line of text into a value of one of the classes in `table`.

    A value of one of these classes is returned as it is. Raises InputError if the line is malformed, if its
    name is unknown (with the most similar known name), or if an argument is invalid. `kind` starts the
    message.
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
        raise InputError(f"{kind}: {name!r} is unknown; {suggest(name, table)}")
    return _construct(table[name], kind, _arguments(match["arguments"] or "", line, kind))


def schema_pattern(table: Mapping[str, type[Form]]) -> str:
    """Return a regular expression for JSON schemas: the names of `table`, with or without arguments."""
    return rf"^\s*({'|'.join(table)})\s*(\([\s\S]*\))?\s*$"


def _is_printed(value: object, default: object) -> bool:
    is_number = isinstance(value, int | float | tuple) and not isinstance(value, bool)
    return is_number or default is MISSING or value != default


def _literal(value: object) -> str:
    """Return the text of an argument's value, which `_value` reads back."""
    if isinstance(value, str):
        return value if _is_word(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _arguments(text: str, line: str, kind: str) -> dict[str, Any]:
    """Parse `argument=value, ...`, the part of `line` between its parentheses."""
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
    """Return the value of an argument: a number, a switch, a word, a text or a list as a tuple."""
    if isinstance(node, ast.Name):
        return _SWITCHES.get(node.id, node.id)
    if isinstance(node, ast.List):
        return tuple(map(_value, node.elts))
    value = ast.literal_eval(node)
    if isinstance(value, set | dict | tuple):
        raise ValueError(f"a {type(value).__name__} is not allowed as a value")
    return value


def _is_word(text: str) -> bool:
    return bool(_WORD.fullmatch(text)) and text not in _SWITCHES and not iskeyword(text)


def _construct(cls: type[F], kind: str, arguments: dict[str, Any]) -> F:
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for name in arguments:
        if name not in known:
            hint = suggest(name, known) if known else "it takes none"
            raise InputError(f"{kind}: {cls.name} has no argument {name!r}; {hint}")
    try:
        return cls(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "missing_argument" or first["type"] == "missing":
            raise InputError(f"{kind}: {cls.name} needs the argument {first['loc'][0]!r}") from None
        argument = f"{cls.name}({first['loc'][0]})" if first["loc"] else cls.name
        raise InputError(f"{kind}: {argument}: {explain(first)}") from None


def explain(error: Mapping[str, Any]) -> str:
    """Return a pydantic error as a clause that tells what was expected and what was given."""
    if isinstance(cause := error.get("ctx", {}).get("error"), Exception):
        return str(cause)
    message = str(error["msg"]).replace("valid tuple", "list")
    value = error["input"]
    message = message[0].lower() + message[1:]
    return f"{message}, not {value!r}" if isinstance(value, (str, int, float)) else message
