"""Number formats shared by terminal, Markdown and HTML."""

import math


def format_number(value: float | None) -> str:
    """Return three significant digits; None stands for infinity, which JSON does not have."""
    return "∞" if value is None or value == math.inf else f"{value:.3g}"


def format_ratio(log: float | None) -> str:
    """Return the ratio whose logarithm is given; a dash where there is none."""
    return "–" if log is None else f"{math.exp(log):.3g}"


def format_interval(low: str, high: str) -> str:
    """Return both ends of an interval."""
    return f"{low} – {high}"


def format_optional(value: float | None, digits: str = ".3g") -> str:
    """Return the number; a dash where there is none."""
    return "–" if value is None else f"{value:{digits}}"
