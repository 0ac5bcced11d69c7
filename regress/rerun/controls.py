"""Negative controls: changes made on purpose, which a rerun must notice or it proves nothing.

Each goes the way of the rerun itself, on a part of the study: the shards with the most models that stay
finite first (a model that left the numbers in its first epoch shows nothing), one after another until the
change is noticed. Only seed + 1, which the statistics must *not* notice, stays with the first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from regress.pipeline.steps import EvaluatedShard
from regress.rerun.bits import differences
from regress.rerun.retrain import (
    UNPERTURBED,
    OneRowPerturbation,
    Perturbation,
    faster,
    results,
    retrain,
    with_next_seed,
    with_seed,
)
from regress.rerun.rows import Rows, align
from regress.rerun.statistics import changed, fresh_replicates, shifts
from regress.study import Study
from regress.study.shards import Shard, cut_into_shards

_FACTOR = 1.001
_TRIALS = 16  # of a shard that the bits' controls train

Of = Literal["bits", "statistics"]


@dataclass(frozen=True)
class Control:
    """A change, whether it was noticed, and whether it had to be."""

    of: Of
    change: str
    caught: bool
    expected: bool

    @property
    def name(self) -> str:
        return f"{self.of}: {self.change}"

    @property
    def ok(self) -> bool:
        return self.caught == self.expected


def bits_controls(study: Study, again: Sequence[EvaluatedShard]) -> tuple[Control, ...]:
    """The seed, every learning rate, one row's features; `again` are the study's shards, retrained."""
    changes: tuple[tuple[str, Study, Perturbation], ...] = (
        ("seed + 1", with_next_seed(study), UNPERTURBED),
        (f"lr × {_FACTOR}", faster(study, _FACTOR), UNPERTURBED),
        (f"x of one row × {_FACTOR}", study, OneRowPerturbation(_FACTOR)),
    )
    return tuple(
        Control(
            "bits",
            change,
            caught=any(_differ(study, *p) for p in _parts(study, again, other, alter)),
            expected=True,
        )
        for change, other, alter in changes
    )


def statistics_controls(study: Study, again: Sequence[EvaluatedShard]) -> tuple[Control, ...]:
    """Twice the learning rate must show in some trial, the next seed in none; none where nothing can show.

    Both have as many replicates as the fresh seed, and are corrected over all trials of the study.
    """
    replicates = fresh_replicates(study.replicates, len(study.trials))
    if replicates is None:
        return ()

    def caught(other: Study) -> Iterator[bool]:
        parts = _parts(study, again, other, UNPERTURBED, at_most=None)
        return (bool(changed(shifts(retrained, altered, study))) for retrained, altered in parts)

    twice = faster(with_seed(study, replicates), 2.0)
    following = with_next_seed(study.model_copy(update={"replicates": replicates}))
    return (
        Control("statistics", "lr × 2", caught=any(caught(twice)), expected=True),
        Control("statistics", "seed + 1", caught=next(caught(following)), expected=False),
    )


def _parts(
    study: Study,
    again: Sequence[EvaluatedShard],
    other: Study,
    alter: Perturbation,
    at_most: int | None = _TRIALS,
) -> Iterator[tuple[Rows, Rows]]:
    """Shard by shard the rows retrained, and those of the `other` study under the same names."""
    clean = other.problem.draw(other.seed, other.replicates)
    pairs = zip(cut_into_shards(other), again, strict=True)
    for shard, done in sorted(pairs, key=lambda pair: -sum(_are_finite(pair[1]))):
        finite = _are_finite(done)
        chosen = sorted(range(len(finite)), key=lambda i: not finite[i])[:at_most]
        trials = tuple(shard.trials[i] for i in chosen)
        yield results(study, [done]), results(study, [retrain(Shard(trials), clean, alter)], other)


def _are_finite(evaluated: EvaluatedShard) -> list[bool]:
    return [not summary.diverged.any() for summary in evaluated.summaries]


def _differ(study: Study, retrained: Rows, altered: Rows) -> bool:
    """Whether a row of a trial that was altered has other bits."""
    pairs = align(retrained, altered)
    found = differences(retrained, altered, pairs, study.dtype).table
    return bool(found.trial.isin(altered.keys.trial).any())
