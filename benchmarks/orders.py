"""Time per model of each order relative to shuffling: computing its permutations, and training.

2,048 models of `benchmarks.training` are trained at once, so that as many models share rows as in a large
study. For orders that depend on each model's residuals or gradients there are 256 models: these share no
rows, and more of them would not change the time per model much. They are also compared with shuffled models
that share nothing, that is with one model per stream.
"""

from collections.abc import Callable

from benchmarks.measure import Result, Side, take_turns
from benchmarks.training import STUDY
from regress.orders import ORDERS, EasyToHard, Order, Shuffled
from regress.pipeline.steps import train_shard
from regress.problems import Data
from regress.study import Study
from regress.study.shards import cut_into_shards

ROUNDS = 7
FEW = 16  # learning rates for orders that depend on each model

MEASURED: dict[str, Order] = {name: order() for name, order in ORDERS.items() if order is not Shuffled} | {
    "surrogate-trained": EasyToHard(surrogate="trained"),
    "surrogate-self": EasyToHard(surrogate="self"),
    "level-batch": EasyToHard(level="batch"),
}


def orders() -> list[Result]:
    """Measure each order with its defaults, and easy-to-hard with its other surrogates and levels."""
    data = STUDY.problem.draw(STUDY.seed, STUDY.replicates)
    alone = STUDY.model_copy(update={"lrs": STUDY.lrs[:1], "replicates": FEW * STUDY.replicates})
    alone_data = alone.problem.draw(alone.seed, alone.replicates)
    shuffled, shuffled_alone, *measured = take_turns(
        ROUNDS,
        [
            _side(Shuffled(), data),
            Side(_training(alone, alone_data), alone.replicates),
            *(_side(order, data) for order in MEASURED.values()),
        ],
    )
    results = []
    for (name, order), seconds in zip(MEASURED.items(), measured, strict=True):
        results.append(Result(f"orders/{name}", 1e6 * seconds, 1e6 * shuffled, "µs/model", _note(order)))
        if _depends_on_model(order):
            note = f"{order}; the peer is shuffled, one model per stream"
            results.append(
                Result(f"orders/{name}-alone", 1e6 * seconds, 1e6 * shuffled_alone, "µs/model", note)
            )
    return results


def _side(order: Order, data: Data) -> Side:
    study = STUDY.model_copy(update={"orders": (order,)})
    if _depends_on_model(order):
        study = study.model_copy(update={"lrs": study.lrs[:: len(study.lrs) // FEW]})
    return Side(_training(study, data), len(study.lrs) * study.replicates)


def _training(study: Study, data: Data) -> Callable[[], object]:
    order, size = study.orders[0], study.batch_sizes[0]
    cut = cut_into_shards(study)

    def call() -> object:
        permutations = order.permutations(data, study.problem.model, study.seed, study.epochs, size)
        return [train_shard(shard, data, permutations) for shard in cut]

    return call


def _depends_on_model(order: Order) -> bool:
    """Return whether each model has its own order, computed from its residuals or gradients."""
    return order.rearrangement(STUDY.batch_sizes[0]) is not None


def _note(order: Order) -> str:
    scope = "one order per model" if _depends_on_model(order) else "one order per stream"
    return f"{order}, {scope}; the peer is shuffled"
