"""Order the training rows."""

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.contaminations import Contamination
from regress.orders import Order
from regress.problems import Data, Model


@task(
    name="order",
    task_run_name="order {contamination} {order} batch {batch_size}",
    description="Decides in which order each epoch visits the training rows.",
    cache_policy=NO_CACHE,
)
def arrange(
    order: Order,
    contamination: Contamination,
    data: Data,
    model: Model,
    seed: int,
    epochs: int,
    batch_size: int,
) -> NDArray[np.intp]:
    return order.permutations(data, model, seed, epochs, batch_size)
