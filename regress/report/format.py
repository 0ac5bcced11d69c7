"""What of an execution's outcome is worth a line, and how it reads: in a terminal as in MLflow."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

RANKINGS = {  # what trials are ranked by, in words; a table's trials have both metrics
    "val_median_abs_residual": "|residual| on held-out rows",
    "param_error": "parameter error",
}
LEVEL = 0.05

Effect = dict[str, Any]  # one of an outcome's `orders`


def final_metric(ranking: str) -> str:
    """The final metric of a ranking: `param_error` itself is a history."""
    return "final_param_error" if ranking == "param_error" else ranking


def sure(effects: Sequence[Effect]) -> list[Effect]:
    """The order effects that stay significant over all cells, the strongest first."""
    found = [row for row in effects if row["p_holm"] is not None and row["p_holm"] < LEVEL]
    return sorted(found, key=lambda row: -abs(row["log_ratio"]))


def strongest(effects: Sequence[Effect], count: int) -> list[Effect]:
    """Of sorted effects the first of each order, contamination and loss, and of those `count`."""
    chosen: dict[tuple[str, ...], Effect] = {}
    for row in effects:
        chosen.setdefault((row["order"], row["contamination"], row["loss"]), row)
    return list(chosen.values())[:count]


def cell(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The cell of the grid that an outcome's row is of: contamination, loss, lr, sigma, batch size."""
    return row["contamination"], row["loss"], f"{row['lr']:g}", f"{row['sigma']:g}", str(row["batch_size"])


def span(low: str, high: str) -> str:
    return f"{low} – {high}"


def number(value: float | None) -> str:
    """Three digits; JSON holds no infinity, and null stands for it."""
    return "∞" if value is None or value == math.inf else f"{value:.3g}"


def ratio(log: float) -> str:
    return f"{math.exp(log):.3g}"
