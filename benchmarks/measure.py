"""Both sides take turns and their ratio is reported: a busy machine slows the two of them alike."""

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
    """One side of a comparison: a call, and how many units of work it does."""

    call: Callable[[], object]
    work: int


@dataclass(frozen=True)
class Result:
    """What was measured, one number a round on either side."""

    name: str
    ours: Floats
    peer: Floats
    unit: str
    note: str  # what each side does, where the two differ
    more_is_better: bool = False

    @property
    def our_median(self) -> float:
        return float(np.median(self.ours))

    @property
    def peer_median(self) -> float:
        return float(np.median(self.peer))

    @property
    def ratio(self) -> float:
        """How many times better ours is, by the medians."""
        ours, peer = self.our_median, self.peer_median
        return ours / peer if self.more_is_better else peer / ours

    @property
    def rounds(self) -> Floats:
        """How many times better ours was, round by round."""
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours


@dataclass(frozen=True)
class Missing:
    """A peer that is not installed, and how it would be."""

    name: str
    note: str


def take_turns(rounds: int, sides: Sequence[Side]) -> list[Floats]:
    """Seconds for one unit of each side's work, round by round, after a round that is not counted."""
    seconds = [[_seconds(side) for side in sides] for _ in range(1 + rounds)]
    return list(np.array(seconds[1:]).T)


def _seconds(side: Side) -> float:
    began = time.perf_counter()
    side.call()
    return (time.perf_counter() - began) / side.work


def table(results: Sequence[Result | Missing]) -> Table:
    """Medians, their ratio, and the least and greatest ratio of a round."""
    shown = Table("benchmark", box=box.SIMPLE_HEAD)
    for column in ("ours", "peer", "unit", "ratio", "by round"):
        shown.add_column(column, justify="left" if column == "unit" else "right")
    for result in results:
        if isinstance(result, Missing):
            shown.add_row(result.name, *["–"] * 5)
            continue
        ours, peer, ratio, low, high = map(
            _short,
            (result.our_median, result.peer_median, result.ratio, result.rounds.min(), result.rounds.max()),
        )
        shown.add_row(result.name, ours, peer, result.unit, ratio, f"{low}–{high}")
    return shown


def as_json(results: Sequence[Result | Missing]) -> str:
    """The medians and their ratio, by the benchmark's name."""
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
    """Three significant digits, written out."""
    return f"{float(f'{value:.3g}'):,.12g}"
