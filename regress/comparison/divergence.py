"""Counts of diverged trials by contamination and loss."""

from collections.abc import Sequence
from dataclasses import dataclass

from regress.metrics.summary import TrialSummary


@dataclass(frozen=True)
class Diverged:
    """The number of diverged trials of one contamination and loss, and the smallest lr among them."""

    contamination: str
    loss: str
    trials: int
    diverged: int  # at least one replicate
    wholly: int  # every replicate
    from_lr: float


def count_diverged(summaries: Sequence[TrialSummary]) -> tuple[Diverged, ...]:
    """Count the diverged trials of each contamination and loss with any."""
    groups: dict[tuple[str, str], list[TrialSummary]] = {}
    for summary in summaries:
        key = str(summary.trial.contamination), str(summary.trial.loss)
        groups.setdefault(key, []).append(summary)
    return tuple(
        Diverged(
            contamination=contamination,
            loss=loss,
            trials=len(group),
            diverged=len(diverged),
            wholly=sum(bool(summary.diverged.all()) for summary in diverged),
            from_lr=min(summary.trial.lr for summary in diverged),
        )
        for (contamination, loss), group in groups.items()
        if (diverged := [summary for summary in group if summary.diverged.any()])
    )
