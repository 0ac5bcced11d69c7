"""Say what theory expects of the trials."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.contaminations import Contamination
from regress.orders import Order
from regress.problems import Data
from regress.study.shards import Shard
from regress.theory import predictions as theory


@task(
    name="predict",
    task_run_name="predict {contamination} batch {batch_size}",
    description="Edges, limits and biases, where theory has a word on the trials.",
    cache_policy=NO_CACHE,
)
def predict(
    contamination: Contamination,
    batch_size: int,
    shards: Sequence[Shard],
    data: Data,
    clean: Data,
    permutations: Mapping[Order, NDArray[np.intp]],
) -> dict[str, theory.Theory]:
    return theory.predict(shards, data, clean, permutations)
