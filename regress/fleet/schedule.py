"""How the rows of an epoch are divided into minibatches, and how a batch's gradients are reduced."""

from dataclasses import dataclass
from typing import Literal

Reduction = Literal["mean", "sum"]
Tail = Literal["weight", "keep", "drop"]


@dataclass(frozen=True)
class Schedule:
    """Batch size, reduction of a batch's losses, and treatment of a last, smaller batch (the tail)."""

    batch_size: int
    reduction: Reduction
    tail: Tail

    def visited(self, rows: int) -> int:
        """Return how many of `rows` rows an epoch visits: all, or those of full batches under tail=drop."""
        return rows - rows % self.batch_size if self.tail == "drop" else rows

    def divisors(self, rows: int) -> tuple[float, float]:
        """Return the divisors of the summed gradient of a full batch, and of the last, smaller batch."""
        tail_rows = self.visited(rows) % self.batch_size
        return self._divisor(self.batch_size), self._divisor(tail_rows or self.batch_size)

    def steps(self, rows: int) -> list[tuple[slice, float]]:
        """Return the positions of each step's rows in the epoch, and the divisor of their summed gradient.

        Under reduction=mean, the sum over a last batch of b < B rows is divided by b (tail=keep), so that
        each of its rows weighs B / b times as much, or by B (tail=weight), so that all rows weigh the same.
        """
        size = self.batch_size
        visited = self.visited(rows)
        batches = [slice(start, min(start + size, visited)) for start in range(0, visited, size)]
        return [(batch, self._divisor(batch.stop - batch.start)) for batch in batches]

    def _divisor(self, rows: int) -> float:
        if self.reduction == "sum":
            return 1.0
        return float(rows if self.tail == "keep" else self.batch_size)
