"""Lanes on their way: where those of G tiles stand, moved by one epoch after another."""

from collections.abc import Sequence
from functools import partial

import torch

from regress.problems.model import Model, Psi

Step = tuple[slice, torch.Tensor]  # which rows, and lr / divisor of each lane (G, 1, T)
Runs = Sequence[tuple[Psi, slice]]  # which tiles train by which psi


class Descent:
    """SGD of lanes, P parameters each, in G tiles of T seats; a lane stops where it leaves the numbers.

    `w` (G, P, T) is where they stand, `finite` (G, 1, T) whether that is a number, and `finite_steps`
    (G, 1, T) after how many steps it still was one.
    """

    def __init__(self, model: Model, start: torch.Tensor, psis: Runs, steps: Sequence[Step]) -> None:
        self.model = model
        self.state = model.state(start)
        self.w = self.state[:, : model.parameters]  # a view: writing to it moves the state
        self.psi: Psi = partial(_psi, psis)
        self.steps = steps
        self.finite = torch.ones_like(start[:, :1], dtype=torch.bool)
        self.finite_steps = torch.zeros_like(start[:, :1], dtype=torch.int64)

    def epoch(self, rows: torch.Tensor) -> None:
        """One pass over rows (G, n, C).

        To watch every lane at every step costs a quarter of the time. A parameter that is not finite
        stays so, whatever is added to it: so nobody is watched, and the epoch is run again, watched,
        where a lane turns out to have left the numbers in it.
        """
        before = self.w.clone()
        for cut, rate in self.steps:
            self.w.addcmul_(self._gradient(rows[:, cut]), rate, value=-1)
        if (self.finite & ~_is_finite(self.w)).any():
            self.w.copy_(before)
            self.watched_epoch(rows)
        else:
            torch.where(self.finite, self.w, before, out=self.w)
            self.finite_steps += len(self.steps) * self.finite

    def watched_epoch(self, rows: torch.Tensor, gradients: torch.Tensor | None = None) -> None:
        """One pass over rows (G, n, C); `gradients` (G, n, P) is filled with those of the first seats.

        Each is of its row's own loss, at where the lane stood when it came by.
        """
        for cut, rate in self.steps:
            batch = rows[:, cut]
            if gradients is not None:
                gradients[:, cut] = self._row_gradients(batch)
            moved = torch.addcmul(self.w, self._gradient(batch), rate, value=-1)
            torch.where(self.finite, moved, self.w, out=self.w)
            self.finite = _is_finite(self.w)
            self.finite_steps += self.finite

    def residual(self, rows: torch.Tensor) -> torch.Tensor:
        """Prediction minus target (G, n) of rows (G, n, C) in the first seats."""
        return self.model.residual(rows, self.state)[..., 0]

    def _gradient(self, batch: torch.Tensor) -> torch.Tensor:
        return self.model.gradient(batch, self.state, self.psi)

    def _row_gradients(self, batch: torch.Tensor) -> torch.Tensor:
        """Gradients (G, b, P) of each row's loss: every row a tile of its own, with one seat."""
        tiles, size, _ = batch.shape
        psi = self.psi(self.model.residual(batch, self.state))[..., :1]
        state = self.state[:, None, :, :1].expand(-1, size, -1, -1)
        each = self.model.pullback(
            batch.flatten(0, 1)[:, None], state.flatten(0, 1), psi.flatten(0, 1)[:, None]
        )
        return each.view(tiles, size, -1)


def _is_finite(w: torch.Tensor) -> torch.Tensor:
    # 0 * inf and 0 * nan are nan: one product and a sum find a lane that left the numbers.
    return (w * 0).sum(dim=1, keepdim=True) == 0


def _psi(runs: Runs, residual: torch.Tensor) -> torch.Tensor:
    if len(runs) == 1:
        return runs[0][0](residual)
    return torch.cat([psi(residual[tiles]) for psi, tiles in runs])
