"""Orders: pure functions from data to permutations of its training rows, one for each epoch."""

from regress.orders.balanced import Grab, PairBalance
from regress.orders.drawn import FlipFlop, Sequential, Shuffled, ShuffleOnce, WithReplacement
from regress.orders.order import Order, Permutations
from regress.orders.sorted import EasyToHard, HardToEasy, OscillatingIn, OscillatingOut, Signed

ORDERS: dict[str, type[Order]] = {
    cls.name: cls
    for cls in (
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
    )
}

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
