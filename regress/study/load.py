"""Studies from YAML files and from assignments on the command line."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from regress.errors import InputError, suggest
from regress.study import Study

_LISTS = ("contaminations", "losses", "lrs", "sigmas", "orders", "batch_sizes")


def shipped() -> dict[str, str]:
    """Return the YAML text of each shipped study by name, the default first."""
    folder = files("regress.study") / "shipped"
    texts = {
        Path(file.name).stem: file.read_text() for file in folder.iterdir() if file.name.endswith(".yaml")
    }
    return dict(sorted(texts.items(), key=lambda item: (item[0] != "default", item[0])))


def question(text: str) -> str:
    """Return the question that a study answers: the comment at the head of its YAML."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def load(study: str, assignments: Sequence[str] = ()) -> Study:
    """Return a shipped study, or one from a YAML file, with fields replaced by `field=value` assignments.

    Raises
    ------
    InputError
        There is no such study or file, it is not YAML, or a field is unknown or invalid.
    """
    return Study(**_fields(study) | dict(map(_assignment, assignments)))


def override(study: Study, assignments: Sequence[str]) -> Study:
    """Return the study with fields replaced by `field=value` assignments.

    Raises
    ------
    InputError
        An assignment is malformed, or its field is unknown or invalid.
    """
    return Study(**study.model_dump(mode="json") | dict(map(_assignment, assignments)))


def _fields(study: str) -> dict[str, Any]:
    known = shipped()
    if study in known:
        return {"name": study} | _mapping(known[study], study)
    path = Path(study)
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"study: {study!r} is neither a path to YAML nor shipped; {suggest(study, known)}")
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"study: cannot read {path}: it is not UTF-8 text") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"study: cannot read {path}: {reason}") from None
    return {"name": path.stem} | _mapping(text, study)


def _mapping(text: str, source: str) -> dict[str, Any]:
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        reason = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise InputError(f"study: {source} is not YAML{line}: {reason}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not isinstance(node, yaml.MappingNode):
        raise InputError(f"study: {source} is not a mapping of fields to values")
    # YAML keeps the last of two equal keys without a warning.
    keys = [str(key.value) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"{key}: {source} sets it twice")
    return {str(key): value for key, value in content.items()}


def _assignment(text: str) -> tuple[str, Any]:
    field, equals, value = text.partition("=")
    field = field.strip()
    if not equals or not field:
        raise InputError(f"--set: {text!r} is not of the form field=value")
    return field, split(value) if field in _LISTS else value.strip()


def split(text: str) -> list[str]:
    """Split a list at its commas outside brackets and quotes; `[a, b]` is the same as `a, b`."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    parts, depth, quote, escaped, start = [], 0, "", False, 0
    for i, character in enumerate(text):
        if quote:
            if not escaped and character == quote:
                quote = ""
            escaped = character == "\\" and not escaped
        elif character in "\"'":
            quote, escaped = character, False
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts = [part.strip() for part in [*parts, text[start:]]]
    return parts if parts != [""] else []
