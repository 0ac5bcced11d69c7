"""Invalid fields of a study, as sentences."""

from collections.abc import Collection

from pydantic import ValidationError

from regress.errors import suggest
from regress.values.text import explain


def explain_first_error(error: ValidationError, known: Collection[str]) -> str:
    """Return one sentence on the first invalid field; `known` are the names that a study has."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{field}: a study has no such field; {suggest(field, known)}"
    if first["type"] == "missing":
        return f"{field}: a study needs this field"
    if first["type"] == "too_short":
        return f"{field}: the list is empty, expected at least one value"
    if first["type"] == "string_pattern_mismatch":
        return f"{field}: {first['input']!r} has other characters than lower case, digits, . _ and -"
    reason = explain(first)
    # A value that names its own field (`losses: ...`) needs no second mention.
    return reason if not field or reason.startswith(field.split(".")[0]) else f"{field}: {reason}"
