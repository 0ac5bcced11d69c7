"""Order the training rows."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline import steps

order = task(
    name="order",
    task_run_name="order {contamination} {order} batch {batch_size}",
    description="Decides in which order each epoch visits the training rows.",
    cache_policy=NO_CACHE,
)(steps.order_rows)
