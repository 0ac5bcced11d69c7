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

    def visited(self, rows: int) -> int:
        """How many of the rows an epoch visits: all, or those of full batches where the tail is dropped."""
        return rows - rows % self.batch_size if self.tail == "drop" else rows

    def divisors(self, rows: int) -> tuple[float, float]:
        """What the summed gradient of a full batch, and of a last, smaller one, is divided by."""
        rest = self.visited(rows) % self.batch_size
        return self._divisor(self.batch_size), self._divisor(rest or self.batch_size)

    def steps(self, rows: int) -> list[tuple[slice, float]]:
        """The rows of each step, and what the summed gradient is divided by.

        Under `mean` a last batch of b < B rows is divided by b (tail=keep), which lets each of its
        rows weigh B / b times as much, or by B (tail=weight), which scales the step by b / B.
        """
        size = self.batch_size
        visited = self.visited(rows)
        cuts = [slice(start, min(start + size, visited)) for start in range(0, visited, size)]
        return [(cut, self._divisor(cut.stop - cut.start)) for cut in cuts]

    def _divisor(self, rows: int) -> float:
        if self.reduction == "sum":
            return 1.0
        return float(rows if self.tail == "keep" else self.batch_size)
