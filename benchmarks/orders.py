"""What an order costs a fit beside shuffling: its permutations, and training in them.

The fits are those of `training`, 2,048 at once, so that rows are shared by as many models as in a large
study. Where each model orders its own epochs there are 256: these share no rows, and what one costs
depends little on how many there are from there on. They are measured beside shuffled models that share
nothing either, too: one to a stream, each with permutations of its own.
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
FEW = 16  # learning rates of models that arrange their own epochs

EVERY: dict[str, Order] = {name: order() for name, order in ORDERS.items() if order is not Shuffled} | {
    "surrogate-trained": EasyToHard(surrogate="trained"),
    "surrogate-self": EasyToHard(surrogate="self"),
    "level-batch": EasyToHard(level="batch"),
}


def orders() -> list[Result]:
    """Each order with its defaults, and what its surrogates and levels cost."""
    data = STUDY.problem.draw(STUDY.seed, STUDY.replicates)
    alone = STUDY.model_copy(update={"lrs": STUDY.lrs[:1], "replicates": FEW * STUDY.replicates})
    own_data = alone.problem.draw(alone.seed, alone.replicates)
    shuffled, shuffled_alone, *others = take_turns(
        ROUNDS,
        [
            _side(Shuffled(), data),
            Side(_training(alone, own_data), alone.replicates),
            *(_side(order, data) for order in EVERY.values()),
        ],
    )
    found = []
    for (name, order), seconds in zip(EVERY.items(), others, strict=True):
        found.append(Result(f"orders/{name}", 1e6 * seconds, 1e6 * shuffled, "µs/fit", _note(order)))
        if _is_its_own(order):
            note = f"{order}; the peer is shuffled, one model to a stream"
            found.append(
                Result(f"orders/{name}-alone", 1e6 * seconds, 1e6 * shuffled_alone, "µs/fit", note)
            )
    return found


def _side(order: Order, data: Data) -> Side:
    study = STUDY.model_copy(update={"orders": (order,)})
    if _is_its_own(order):
        study = study.model_copy(update={"lrs": study.lrs[:: len(study.lrs) // FEW]})
    return Side(_training(study, data), len(study.lrs) * study.replicates)


def _training(study: Study, data: Data) -> Callable[[], object]:
    order, size = study.orders[0], study.batch_sizes[0]
    cut = cut_into_shards(study)

    def call() -> object:
        permutations = order.permutations(data, study.problem.model, study.seed, study.epochs, size)
        return [train_shard(shard, data, permutations) for shard in cut]

    return call


def _is_its_own(order: Order) -> bool:
    return order.rearrangement(STUDY.batch_sizes[0]) is not None


def _note(order: Order) -> str:
    whose = (
        "each model arranges its own epochs" if _is_its_own(order) else "all models of a stream share it"
    )
    return f"{order}, {whose}; the peer is shuffled"
