"""How the rows of an epoch are cut into steps."""

from dataclasses import dataclass
from typing import Literal

Reduction = Literal["mean", "sum"]
Tail = Literal["weight", "keep", "drop"]


@dataclass(frozen=True)
class Schedule:
    """The size of a step, how its losses are reduced, and what a last, smaller one counts for."""

    batch_size: int
    reduction: Reduction
    tail: Tail

    def steps(self, rows: int) -> list[tuple[slice, float]]:
        """The rows of each step, and what the summed gradient is divided by.

        Under `mean` a last batch of b < B rows is divided by b (tail=keep), which lets each of its
        rows weigh B / b times as much, or by B (tail=weight), which scales the step by b / B.
        """
        size = self.batch_size
        starts = range(0, rows - rows % size if self.tail == "drop" else rows, size)
        cuts = [slice(start, min(start + size, rows)) for start in starts]
        return [(cut, self._divisor(cut.stop - cut.start)) for cut in cuts]

    def _divisor(self, rows: int) -> float:
        if self.reduction == "sum":
            return 1.0
        return float(rows if self.tail == "keep" else self.batch_size)
