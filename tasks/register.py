"""Register the champion."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.comparison import Comparison
from regress.pipeline.refit import refit, winner
from regress.study import Study
from regress.tracking.champion import Champion, log_champion
from regress.tracking.execution import Execution


@task(
    name="register",
    task_run_name="register {study.name}",
    description="Refits the winner on all rows and puts it into MLflow's model registry.",
    cache_policy=NO_CACHE,
)
def register(execution: Execution, study: Study, comparison: Comparison) -> Champion | None:
    """Refit the best trial and register it; return None if it diverged."""
    trial = winner(study, comparison)
    fitted = None if trial is None else refit(trial)
    return None if fitted is None else log_champion(execution, study.name, fitted)
