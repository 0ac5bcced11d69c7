"""Retrain a recorded study and judge the result."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline.steps import EvaluatedShard
from regress.problems import Data
from regress.rerun.controls import Control, run_bits_controls, run_statistics_controls
from regress.rerun.oracle import OracleCheck, check_oracles
from regress.rerun.retrain import UNPERTURBED, Perturbation, retrain
from regress.study import Study
from regress.study.shards import Shard
from tasks.progress import advance


@task(
    name="retrain",
    task_run_name="retrain {shard.label}",
    description="Rows, order, training and metrics of a shard, from its study alone.",
    cache_policy=NO_CACHE,
)
def retrain_shard(shard: Shard, clean: Data, perturbation: Perturbation) -> EvaluatedShard:
    """Retrain a shard from its study alone."""
    evaluated = retrain(shard, clean, perturbation)
    if perturbation == UNPERTURBED:  # the progress bar does not count the models of controls
        advance("models", len(shard.trials) * clean.replicates)
    return evaluated


@task(
    name="bits' controls",
    task_run_name="controls of the bits of {study.name}",
    description="Another seed, learning rate and row: rows must differ.",
    cache_policy=NO_CACHE,
)
def control_bits(study: Study, retrained: Sequence[EvaluatedShard]) -> tuple[Control, ...]:
    """Run the controls whose bits must differ."""
    return run_bits_controls(study, retrained)


@task(
    name="statistics' controls",
    task_run_name="controls of the statistics of {study.name}",
    description="Twice the learning rate must be noticed, another seed must not.",
    cache_policy=NO_CACHE,
)
def control_statistics(study: Study, retrained: Sequence[EvaluatedShard]) -> tuple[Control, ...]:
    """Run the controls of the statistical check."""
    return run_statistics_controls(study, retrained)


@task(
    name="oracle",
    task_run_name="oracle of {study.name}",
    description="Published fits and theory, where their assumptions are met.",
    cache_policy=NO_CACHE,
)
def run_oracle(study: Study) -> tuple[OracleCheck, ...]:
    """Check published fits and theory where their assumptions hold."""
    return check_oracles(study)
