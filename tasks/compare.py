"""Compare all trials."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.comparison import compare
from regress.estimators.published import checks
from regress.estimators.references import Reference, beside
from regress.pipeline.steps import EvaluatedShard
from regress.report.outcome import StudyResult
from regress.study import Study


@task(
    name="compare",
    task_run_name="compare the trials of {study.name}",
    description="Winners, what diverged, what an order changed, the references, published fits.",
    cache_policy=NO_CACHE,
)
def find(study: Study, evaluated: Sequence[EvaluatedShard], references: Sequence[Reference]) -> StudyResult:
    summaries = [summary for shard in evaluated for summary in shard.summaries]
    comparison = compare(summaries, study.problem.ranking, study.seed)
    return StudyResult(comparison, beside(references, summaries, comparison.best), checks(study.problem))
