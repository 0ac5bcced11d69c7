"""The exercises of the notebook that this project grew from, each printed number beside its ensemble.

The notebook trained each model once. A number that it printed is one draw; here the same exercise is
trained with thousands of seeds, and the number must lie between the ensemble's .05 % and 99.95 %
quantiles. Set-ups and printed numbers are those of the d2l book's exercises 3.4 to 3.7 as they were run.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regress.contamination import Clean, Contamination, Single
from regress.fleet import Reduction, Tail, Trajectory, mean_loss
from regress.losses import L1, L2, Loss, SmoothL1
from regress.orders import Shuffled
from regress.problems import Data, Linear, Ohm, Planck, Problem
from regress.shards import Shard, train_shard
from regress.study import Trial

Floats = NDArray[np.float64]

REPLICATES = 10_000
BLOCK = 500  # replicates trained in one go
CURVES = 100  # replicates of the first block whose losses are followed by epoch
LOW, HIGH = 0.0005, 0.9995
NAN = math.nan


@dataclass(frozen=True)
class Fit:
    """One model of the notebook: how it was trained, and what was printed of each parameter.

    `printed` holds a number for each parameter, in order, or nothing. Where the notebook printed the truth
    minus the estimate, `offset` is the truth.
    """

    label: str
    trial: Trial
    printed: tuple[float, ...] = ()
    is_companion: bool = False  # trained in the first block only, to be drawn beside another
    offset: tuple[float, ...] | None = None

    @property
    def quantities(self) -> tuple[str, ...]:
        names = self.trial.problem.parameter_names
        return names if self.offset is None else tuple(f"{name} − estimate" for name in names)

    def measured(self, params: Floats) -> Floats:
        """What the notebook printed, (R, P), of final parameters (R, P)."""
        left = ~np.isfinite(params).all(axis=1, keepdims=True)
        shown = params if self.offset is None else np.array(self.offset) - params
        return np.where(left, NAN, shown)  # the notebook's models were not frozen: one nan spread to all


@dataclass(frozen=True)
class Exercise:
    """A heading of the notebook, and the models trained under it."""

    name: str
    fits: tuple[Fit, ...]


@dataclass(frozen=True)
class Row:
    """One printed number in its ensemble; `inside` is None where the notebook printed nothing."""

    exercise: str
    fit: str
    quantity: str
    notebook: float | None
    q0005: float
    median: float
    q9995: float
    nonfinite_fraction: float
    inside: bool | None

    def as_json(self) -> dict[str, Any]:
        """The row, the notebook's nan as a text: JSON has none."""
        is_nan = self.notebook is not None and math.isnan(self.notebook)
        return asdict(self) | ({"notebook": "nan"} if is_nan else {})


def _trial(
    loss: Loss,
    lr: float,
    epochs: int,
    *,
    problem: Problem | None = None,
    contamination: Contamination | None = None,
    sigma: float = 0.01,
    reduction: Reduction = "mean",
    tail: Tail = "keep",
) -> Trial:
    return Trial(
        problem=problem or Linear(),
        contamination=contamination or Clean(),
        loss=loss,
        lr=lr,
        sigma=sigma,
        order=Shuffled(),
        batch_size=32,
        epochs=epochs,
        reduction=reduction,
        tail=tail,
        replicates=REPLICATES,
        dtype="float32",
    )


_OUTLIER = Single(row=5, value=10000.0)
_BASE = Fit("lr 0.03", _trial(L2(), 0.03, 3), (1.8396, -3.2372, 3.9771))

EXERCISES = (
    Exercise(
        "learning rate",
        (
            Fit("lr 0.003", _trial(L2(), 0.003, 3), (0.4372, -0.8910, 1.0680)),
            _BASE,
            Fit("lr 0.3", _trial(L2(), 0.3, 3), (2.0009, -3.3990, 4.1986)),
            Fit("lr 3", _trial(L2(), 3.0, 3), (-3.2974e29, 4.5504e29, -7.8700e28)),
            Fit("lr 0.003, 20 epochs", _trial(L2(), 0.003, 20)),
        ),
    ),
    Exercise(
        "initial scale",
        (
            Fit("sigma 0.01", _trial(L2(), 0.03, 3)),
            Fit("sigma 0", _trial(L2(), 0.03, 3, sigma=0.0)),
            Fit("sigma 1000", _trial(L2(), 0.03, 3, sigma=1000.0)),
        ),
    ),
    Exercise(
        "absolute loss",
        (
            Fit("l1, summed", _trial(L1(), 0.01, 3, reduction="sum"), (1.9236, -3.2809, 4.1000)),
            Fit("l2", _trial(L2(), 0.01, 3)),
        ),
    ),
    Exercise(
        "one outlier",
        (
            Fit(
                "l1, summed",
                _trial(L1(), 0.01, 3, reduction="sum", contamination=_OUTLIER),
                (-50.7932, 344.7570, 4.0400),
            ),
            Fit("l2", _trial(L2(), 0.01, 10, contamination=_OUTLIER), (NAN, NAN, NAN)),
            Fit(
                "smooth-l1, summed",
                _trial(SmoothL1(1.0), 1e-7, 10, reduction="sum", contamination=_OUTLIER),
                (0.0104, -0.0376, 0.0007),
            ),
            Fit("l1, summed, without", _trial(L1(), 0.01, 3, reduction="sum"), is_companion=True),
            Fit("l2, without", _trial(L2(), 0.01, 10), is_companion=True),
            Fit(
                "smooth-l1, summed, without",
                _trial(SmoothL1(1.0), 1e-7, 10, reduction="sum"),
                is_companion=True,
            ),
        ),
    ),
    Exercise(
        "ohm",
        (
            Fit(
                "truth − estimate",
                _trial(L2(), 0.03, 3, problem=Ohm(resistance=5.1, noise=1.0)),
                (0.3010, -0.0321),
                offset=(5.1, 0.0),
            ),
        ),
    ),
    Exercise(
        "planck",
        (
            Fit(
                "T from 3000 K",
                _trial(L2(), 1e-21, 5, problem=Planck(temperature=5020.0, noise=0.05), sigma=3000.0),
                (5054.9624,),
            ),
        ),
    ),
    Exercise(
        "tail batch",
        tuple(Fit(f"tail {tail}", _trial(L2(), 0.03, 3, tail=tail)) for tail in ("keep", "drop", "weight")),
    ),
)

# Averaged instead of summed, absolute loss moves 32 times less: a check that finds these numbers
# inside could not fail.
CONTROL = Exercise(
    "absolute loss",
    (Fit("l1, averaged", _trial(L1(), 0.01, 3), (1.9236, -3.2809, 4.1000)),),
)

LAST_BATCH = ("tail batch", "tail keep", "rows in the last batch", 8.0)


@dataclass(frozen=True)
class Trained:
    """Final parameters (R, P) of each trial, and losses by epoch (E, CURVES) of the first block."""

    params: dict[Trial, Floats]
    losses: dict[Trial, Floats]


def distinct_trials(exercises: Sequence[Exercise], *, companions: bool) -> tuple[Trial, ...]:
    """Every trial once, however many fits ask for it; companions only where they are wanted."""
    fits = [fit for exercise in exercises for fit in exercise.fits]
    return tuple(dict.fromkeys(fit.trial for fit in fits if companions or not fit.is_companion))


def train_block(trials: Sequence[Trial], first: int, replicates: int) -> Trained:
    """Trains replicates first .. first + replicates - 1 of each trial."""
    data = {p: _train_rows(p).draw(0, replicates, first) for p in dict.fromkeys(t.problem for t in trials)}
    longest = max(trial.epochs for trial in trials)
    some = next(iter(data.values()))
    # Every problem here has 1,000 rows: one set of permutations serves all.
    order = Shuffled().permutations(some, next(iter(data)).model, 0, longest, trials[0].batch_size)
    params: dict[Trial, Floats] = {}
    losses: dict[Trial, Floats] = {}
    for shard in _shards(trials):
        trial = shard.trials[0]
        rows = trial.contamination.apply(data[trial.problem], trial.problem.model, 0)
        trajectory = train_shard(shard, rows, order[:, : trial.epochs])
        final = trajectory.params[-1].to(torch.float64).numpy()
        for lane, own in enumerate(shard.trials):
            params[own] = own.problem.in_user_units(final[lane])
        if first == 0:
            losses |= _losses(shard, rows, trajectory)
    return Trained(params, losses)


def _train_rows(problem: Problem) -> Problem:
    """The problem with as few validation rows as it may have: nothing here is measured on them."""
    return replace(problem, val=1) if isinstance(problem, Linear | Ohm) else problem


def joined(blocks: Sequence[Trained]) -> Trained:
    """The blocks' replicates one after another."""
    params = {
        trial: np.concatenate([block.params[trial] for block in blocks if trial in block.params])
        for trial in blocks[0].params
    }
    return Trained(params, blocks[0].losses)


def rows(exercises: Sequence[Exercise], trained: Trained) -> tuple[Row, ...]:
    """Every quantity of every fit in its ensemble."""
    found = []
    for exercise in exercises:
        for fit in (fit for fit in exercise.fits if not fit.is_companion):
            measured = fit.measured(trained.params[fit.trial])
            for i, quantity in enumerate(fit.quantities):
                printed = fit.printed[i] if fit.printed else None
                found.append(row(exercise.name, fit.label, quantity, printed, measured[:, i]))
    return tuple(found)


def last_batch_row() -> Row:
    """The batch of 8 that the notebook found at each epoch's end."""
    exercise, fit, quantity, printed = LAST_BATCH
    trial = _BASE.trial
    (cut, _) = Shard((trial,)).schedule.steps(trial.problem.train_rows)[-1]
    return row(exercise, fit, quantity, printed, np.full(1, float(cut.stop - cut.start)))


def row(exercise: str, fit: str, quantity: str, printed: float | None, ensemble: Floats) -> Row:
    """One quantity in its ensemble (R,); quantiles by nearest rank over the finite values.

    A printed nan is inside when between .05 % and 99.95 % of the ensemble is not finite.
    """
    finite = np.sort(ensemble[np.isfinite(ensemble)])
    gone = 1 - len(finite) / len(ensemble)
    low, median, high = (_rank(finite, q) for q in (LOW, 0.5, HIGH))
    inside = None
    if printed is not None:
        inside = LOW <= gone <= HIGH if math.isnan(printed) else bool(low <= printed <= high)
    return Row(exercise, fit, quantity, printed, low, median, high, gone, inside)


def _rank(ordered: Floats, q: float) -> float:
    if not len(ordered):
        return NAN
    return float(ordered[max(math.ceil(q * len(ordered)) - 1, 0)])


def _shards(trials: Sequence[Trial]) -> Iterator[Shard]:
    """Trials that share rows, order and schedule, trained together."""
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        key = trial.problem, trial.contamination, trial.reduction, trial.tail, trial.epochs
        groups.setdefault(key, []).append(trial)
    for group in groups.values():
        yield Shard(tuple(group))


def _losses(shard: Shard, data: Data, trajectory: Trajectory) -> dict[Trial, Floats]:
    trial = shard.trials[0]
    few = slice(min(CURVES, data.replicates))
    table = trial.problem.model.table(data.train_x[few], data.train_y[few], torch.float64)
    params = trajectory.params[:, :, few].to(torch.float64).numpy()
    losses = mean_loss(trial.problem.model, table, [t.loss for t in shard.trials], params)
    return {own: losses[:, lane] for lane, own in enumerate(shard.trials)}
