"""Compare all trials."""

from collections.abc import Mapping, Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.compare import compare
from regress.outcome import Findings, outcome_files
from regress.problems import Data
from regress.published import checks
from regress.references import Reference, beside
from regress.shards import Evaluated
from regress.study import Study
from regress.tracking.record import Execution, attach


@task(
    name="summarise",
    task_run_name="summarise {study.name}",
    description="Winners, what diverged, what an order changed, the references; files and figures.",
    cache_policy=NO_CACHE,
)
def summarise(
    execution: Execution,
    study: Study,
    contaminated: Mapping[str, Data],
    evaluated: Sequence[Evaluated],
    references: Sequence[Reference],
) -> Findings:
    summaries = [summary for shard in evaluated for summary in shard.summaries]
    comparison = compare(summaries, study.problem.ranking, study.seed)
    findings = Findings(comparison, beside(references, summaries, comparison.best), checks(study.problem))
    attach(execution, outcome_files(study, contaminated, evaluated, findings))
    return findings
