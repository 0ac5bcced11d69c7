"""What several of these tests share: values of every table, small data, whole studies, refusals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from pydantic.dataclasses import dataclass

from regress.contaminations import (
    CONTAMINATIONS,
    AdaptiveVertical,
    BadLeverage,
    Clean,
    Cluster,
    GoodLeverage,
    GrossError,
    HeavyTails,
    Single,
    Vertical,
)
from regress.errors import InputError
from regress.losses import (
    L1,
    L2,
    LOSSES,
    Cauchy,
    Fair,
    GemanMcClure,
    Huber,
    LogCosh,
    PseudoHuber,
    Quantile,
    SmoothL1,
    Tukey,
    Welsch,
)
from regress.metrics.results import write_parquet
from regress.orders import ORDERS, EasyToHard, HardToEasy, OscillatingIn, OscillatingOut, Signed
from regress.pipeline.run import run_shard
from regress.pipeline.steps import EvaluatedShard
from regress.problems import PROBLEMS, Data, Linear, Ohm, Planck, Table
from regress.study import Study
from regress.study.shards import cut_into_shards
from regress.values.text import STRICT, Form


@dataclass(frozen=True, config=STRICT)
class UncompiledHuber(Huber):
    """As an installed package may have it: without a scalar form, hence trained by torch."""

    scalar_form = None


@dataclass(frozen=True, config=STRICT)
class UncompiledLogCosh(LogCosh):
    """The same for a loss with a transcendental psi."""

    scalar_form = None


TABLES: dict[str, dict[str, type[Form]]] = {
    "problem": dict(PROBLEMS),
    "contaminations": dict(CONTAMINATIONS),
    "losses": dict(LOSSES),
    "orders": dict(ORDERS),
}

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NOT_NEGATIVE = st.floats(min_value=0.0, allow_infinity=False)
POSITIVE = st.floats(min_value=0.0, exclude_min=True, allow_infinity=False)
ODD = st.text() | st.sampled_from(
    [
        "y",
        "no",
        "None",
        "True",
        "true",
        "nan",
        "1.0",
        "",
        " ",
        "a, b",
        "it's",
        '"',
        "\\",
        "#",
        "]",
        ")",
        "é\n\x00",
    ]
)
# At least one of a thousand rows, or none at all.
FRACTION = st.just(0.0) | st.floats(0.001, 1, exclude_max=True)
SURROGATE = st.sampled_from(["ols", "oracle", "trained", "self"])
LEVEL = st.sampled_from(["example", "batch"])
SORTED = (EasyToHard, HardToEasy, OscillatingIn, OscillatingOut, Signed)
CONSTANT = st.floats(1e-15, 1e15)
SCALE = st.sampled_from(["raw", "mad"])

VALUES: dict[type[Form], st.SearchStrategy[Any]] = {
    Linear: st.builds(
        Linear,
        w=st.lists(FINITE, min_size=1, max_size=4).map(tuple),
        b=FINITE,
        noise=NOT_NEGATIVE,
        rows=st.integers(1, 10**6),
        val=st.integers(1, 10**6),
    ),
    Ohm: st.builds(Ohm, resistance=FINITE, noise=NOT_NEGATIVE, intercept=st.booleans()),
    Planck: st.builds(
        Planck, temperature=POSITIVE, noise=NOT_NEGATIVE, form=st.sampled_from(["raw", "scaled"])
    ),
    Table: st.builds(
        Table, path=ODD, target=ODD, holdout=st.floats(0, 1, exclude_min=True, exclude_max=True)
    )
    | st.builds(Table, dataset=st.sampled_from(["stackloss", "engel"]), target=st.none() | ODD),
    Clean: st.builds(Clean),
    Single: st.builds(Single, row=st.integers(0, 999), value=FINITE),
    Vertical: st.builds(Vertical, fraction=FRACTION, shift=FINITE),
    AdaptiveVertical: st.builds(AdaptiveVertical, fraction=FRACTION, shift=FINITE),
    GoodLeverage: st.builds(GoodLeverage, fraction=FRACTION, scale=POSITIVE),
    BadLeverage: st.builds(BadLeverage, fraction=FRACTION, scale=POSITIVE, shift=FINITE),
    Cluster: st.builds(Cluster, fraction=FRACTION, x=FINITE, y=FINITE, spread=NOT_NEGATIVE),
    HeavyTails: st.builds(HeavyTails, df=st.floats(0.1, allow_infinity=False), scale=NOT_NEGATIVE),
    GrossError: st.builds(
        GrossError, fraction=st.floats(0, 1, exclude_max=True), shift=FINITE, spread=NOT_NEGATIVE
    ),
    L2: st.builds(L2),
    L1: st.builds(L1),
    Huber: st.builds(Huber, delta=POSITIVE, scale=SCALE),
    SmoothL1: st.builds(SmoothL1, beta=POSITIVE),
    **{cls: st.builds(cls) for cls in ORDERS.values() if cls not in SORTED},
    **{cls: st.builds(cls, surrogate=SURROGATE, level=LEVEL) for cls in SORTED},
    PseudoHuber: st.builds(PseudoHuber, delta=CONSTANT, scale=SCALE),
    LogCosh: st.builds(LogCosh, c=CONSTANT, scale=SCALE),
    Fair: st.builds(Fair, c=CONSTANT, scale=SCALE),
    Quantile: st.builds(Quantile, tau=st.floats(0, 1, exclude_min=True, exclude_max=True)),
    Cauchy: st.builds(Cauchy, c=CONSTANT, scale=SCALE),
    Welsch: st.builds(Welsch, c=CONSTANT, scale=SCALE),
    GemanMcClure: st.builds(GemanMcClure, c=CONSTANT, scale=SCALE),
    Tukey: st.builds(Tukey, c=CONSTANT, scale=SCALE),
}


def values(kind: str) -> st.SearchStrategy[Any]:
    """Any value of a table."""
    return st.one_of([VALUES[cls] for cls in TABLES[kind].values()])


def refusal(call: Callable[..., object], *arguments: object) -> str:
    """The one sentence with which `call(*arguments)` is refused."""
    with pytest.raises(InputError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def some_data(replicates: int = 2, rows: int = 12, features: int = 2, *, seed: int = 0) -> Data:
    """Random rows off a random plane."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, replicates, rows, features))
    truth = rng.normal(size=(replicates, features + 1))
    noise = rng.normal(size=(2, replicates, rows))
    y = (x * truth[:, None, :-1]).sum(axis=-1) + truth[:, None, -1] + noise
    return Data(x[0], y[0], x[1], y[1], truth, np.zeros((replicates, rows), bool))


def prefix(data: Data, replicates: int) -> Data:
    """The first replicates of `data`."""
    return between(data, 0, replicates)


def between(data: Data, start: int, stop: int) -> Data:
    """Replicates `start` to `stop` of `data`, `stop` left out, under their own indices."""
    truth = None if data.truth is None else data.truth[start:stop]
    rows = (array[start:stop] for array in (data.train_x, data.train_y, data.val_x, data.val_y))
    return Data(*rows, truth, data.contaminated[start:stop], data.first + start)


def equal(one: Data, other: Data) -> bool:
    """Whether two data sets are the same, bit for bit."""

    def bits(data: Data) -> list[Any]:
        return [value if value is None else np.asarray(value).tobytes() for value in vars(data).values()]

    return bits(one) == bits(other)


def execute(study: Study) -> list[EvaluatedShard]:
    """A study's shards, one after the other."""
    clean = study.problem.draw(study.seed, study.replicates)
    return [run_shard(shard, clean) for shard in cut_into_shards(study)]


def results(done: Sequence[EvaluatedShard]) -> bytes:
    """The execution's results.parquet."""
    return write_parquet([shard.table for shard in done])
