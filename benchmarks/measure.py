"""Measurement of two sides in turn, and a table of their ratios.

Sides alternate within a run, so that other load on the machine slows both down equally.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a call, and the number of units of work that it does."""

    call: Callable[[], object]
    work: int


@dataclass(frozen=True)
class Result:
    """The measurements of a benchmark, one number per round for each side."""

    name: str
    ours: Floats
    peer: Floats
    unit: str
    note: str  # how the two sides differ
    more_is_better: bool = False

    @property
    def our_median(self) -> float:
        return float(np.median(self.ours))

    @property
    def peer_median(self) -> float:
        return float(np.median(self.peer))

    @property
    def ratio(self) -> float:
        """How many times better our median is."""
        ours, peer = self.our_median, self.peer_median
        return ours / peer if self.more_is_better else peer / ours

    @property
    def rounds(self) -> Floats:
        """How many times better our side was in each round."""
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours


@dataclass(frozen=True)
class Missing:
    """A benchmark whose peer is not installed, with a note on how to install it."""

    name: str
    note: str


def take_turns(rounds: int, sides: Sequence[Side]) -> list[Floats]:
    """Return the seconds per unit of work of each side in each round, after a warm-up round."""
    seconds = [[_seconds(side) for side in sides] for _ in range(1 + rounds)]
    return list(np.array(seconds[1:]).T)


def _seconds(side: Side) -> float:
    began = time.perf_counter()
    side.call()
    return (time.perf_counter() - began) / side.work


def table(results: Sequence[Result | Missing]) -> Table:
    """Return a table of the medians, their ratio, and the smallest and largest ratio of a round."""
    rendered = Table("benchmark", box=box.SIMPLE_HEAD)
    for column in ("ours", "peer", "unit", "ratio", "by round"):
        rendered.add_column(column, justify="left" if column == "unit" else "right")
    for result in results:
        if isinstance(result, Missing):
            rendered.add_row(result.name, *["–"] * 5)
            continue
        ours, peer, ratio, low, high = map(
            _short,
            (result.our_median, result.peer_median, result.ratio, result.rounds.min(), result.rounds.max()),
        )
        rendered.add_row(result.name, ours, peer, result.unit, ratio, f"{low}–{high}")
    return rendered


def as_json(results: Sequence[Result | Missing]) -> str:
    """Return the medians and their ratio as JSON, by the benchmark's name."""
    content = {
        result.name: {
            "ours": result.our_median,
            "peer": result.peer_median,
            "ratio": result.ratio,
            "unit": result.unit,
        }
        for result in results
        if isinstance(result, Result)
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _short(value: float) -> str:
    """Format a number to three significant digits, without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"
