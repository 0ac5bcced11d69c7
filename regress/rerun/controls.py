"""Negative controls: deliberate changes that a rerun must detect; otherwise its verdict proves nothing.

Each control runs the rerun's own comparison on one shard after another until the change is detected. The
shards with the most models that stay finite come first, because models that became non-finite in their
first epoch show no change. The control `seed + 1` of the statistics, which must *not* be detected, uses the
first shard only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from regress.pipeline.steps import EvaluatedShard
from regress.rerun.bits import compare_bits
from regress.rerun.retrain import (
    UNPERTURBED,
    OneRowPerturbation,
    Perturbation,
    collect_rows,
    retrain,
    scale_lrs,
    with_fresh_seed,
    with_next_seed,
)
from regress.rerun.rows import Rows, align
from regress.rerun.statistics import compare_errors, required_replicates, significant_shifts
from regress.study import Study
from regress.study.shards import Shard, cut_into_shards

_FACTOR = 1.001
_MAX_TRIALS = 16  # of a shard that the bits' controls train

ControlledCheck = Literal["bits", "statistics"]


@dataclass(frozen=True)
class Control:
    """A deliberate change, whether the check detected it, and whether it had to."""

    check: ControlledCheck
    change: str
    caught: bool
    expected: bool

    @property
    def name(self) -> str:
        """The check and the change, as `bits: seed + 1`."""
        return f"{self.check}: {self.change}"

    @property
    def ok(self) -> bool:
        """Whether the control came out as expected."""
        return self.caught == self.expected


def run_bits_controls(study: Study, retrained: Sequence[EvaluatedShard]) -> tuple[Control, ...]:
    """Change the seed, every learning rate and one row's features; each must change some bits.

    `retrained` are the study's shards, retrained without a change.
    """
    changes: tuple[tuple[str, Study, Perturbation], ...] = (
        ("seed + 1", with_next_seed(study), UNPERTURBED),
        (f"lr × {_FACTOR}", scale_lrs(study, _FACTOR), UNPERTURBED),
        (f"x of one row × {_FACTOR}", study, OneRowPerturbation(_FACTOR)),
    )
    return tuple(
        Control(
            "bits",
            change,
            caught=any(
                _differ(study, unchanged, changed)
                for unchanged, changed in _rows_by_shard(study, retrained, changed_study, perturbation)
            ),
            expected=True,
        )
        for change, changed_study, perturbation in changes
    )


def run_statistics_controls(study: Study, retrained: Sequence[EvaluatedShard]) -> tuple[Control, ...]:
    """Double the learning rates, which some trial must show, and change the seed, which none may show.

    Both use as many replicates as the fresh seed, with Holm's correction over all trials of the study.
    Empty where no number of replicates can show a change.
    """
    replicates = required_replicates(study.replicates, len(study.trials))
    if replicates is None:
        return ()

    def detect(changed_study: Study) -> Iterator[bool]:
        shards = _rows_by_shard(study, retrained, changed_study, UNPERTURBED, max_trials=None)
        return (
            bool(significant_shifts(compare_errors(unchanged, changed, study)))
            for unchanged, changed in shards
        )

    doubled = scale_lrs(with_fresh_seed(study, replicates), 2.0)
    next_seed = with_next_seed(study.model_copy(update={"replicates": replicates}))
    return (
        Control("statistics", "lr × 2", caught=any(detect(doubled)), expected=True),
        Control("statistics", "seed + 1", caught=next(detect(next_seed)), expected=False),
    )


def _rows_by_shard(
    study: Study,
    retrained: Sequence[EvaluatedShard],
    changed_study: Study,
    perturbation: Perturbation,
    max_trials: int | None = _MAX_TRIALS,
) -> Iterator[tuple[Rows, Rows]]:
    """Yield each shard's rows without and with the change, under the digests of `study`'s trials."""
    clean = changed_study.problem.draw(changed_study.seed, changed_study.replicates)
    pairs = zip(cut_into_shards(changed_study), retrained, strict=True)
    for shard, evaluated in sorted(pairs, key=lambda pair: -sum(_stays_finite(pair[1]))):
        is_finite = _stays_finite(evaluated)
        chosen = sorted(range(len(is_finite)), key=lambda i: not is_finite[i])[:max_trials]
        part = Shard(tuple(shard.trials[i] for i in chosen))
        changed = collect_rows(study, [retrain(part, clean, perturbation)], changed_study)
        yield collect_rows(study, [evaluated]), changed


def _stays_finite(evaluated: EvaluatedShard) -> list[bool]:
    """Return for each trial whether no replicate diverged."""
    return [not summary.diverged.any() for summary in evaluated.summaries]


def _differ(study: Study, unchanged: Rows, changed: Rows) -> bool:
    """Return whether any row of the changed trials has other bits."""
    differences = compare_bits(unchanged, changed, align(unchanged, changed), study.dtype)
    return bool(differences.table.trial.isin(changed.keys.trial).any())
