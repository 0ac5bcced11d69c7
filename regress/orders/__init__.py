"""Orders: pure functions from data to permutations of its training rows, one for each epoch."""

from regress.orders.balanced import Grab, PairBalance
from regress.orders.drawn import FlipFlop, Sequential, Shuffled, ShuffleOnce, WithReplacement
from regress.orders.order import Order, Permutations
from regress.orders.sorted import EasyToHard, HardToEasy, OscillatingIn, OscillatingOut, Signed
from regress.values.registry import Registry, load_registry

ORDERS: Registry[Order] = load_registry(
    Order,
    "orders",
    [
        Shuffled,
        ShuffleOnce,
        Sequential,
        WithReplacement,
        FlipFlop,
        EasyToHard,
        HardToEasy,
        OscillatingIn,
        OscillatingOut,
        Signed,
        Grab,
        PairBalance,
    ],
)

__all__ = [
    "ORDERS",
    "EasyToHard",
    "FlipFlop",
    "Grab",
    "HardToEasy",
    "Order",
    "OscillatingIn",
    "OscillatingOut",
    "PairBalance",
    "Permutations",
    "Sequential",
    "ShuffleOnce",
    "Shuffled",
    "Signed",
    "WithReplacement",
]
