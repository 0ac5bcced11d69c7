"""JSON with null for infinity and nan, which JSON does not have."""

import json
import math
from typing import Any


def to_json(content: Any) -> str:
    """Return `content` as JSON text, numbers that are not finite as null."""
    return json.dumps(replace_nonfinite(content), indent=1, allow_nan=False)


def replace_nonfinite(content: Any) -> Any:
    """Return the same content with None for infinity and nan."""
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: replace_nonfinite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [replace_nonfinite(value) for value in content]
    return content
