"""Predict the trials by theory."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.theory import predictions

predict = task(
    name="predict",
    task_run_name="predict {contamination} batch {batch_size}",
    description="Edges of stability, limits and biases, where theory predicts them.",
    cache_policy=NO_CACHE,
)(predictions.predict)
