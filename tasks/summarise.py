"""Record what a study came to."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline.steps import EvaluatedShard
from regress.problems import Data
from regress.report.outcome import StudyResult, outcome_files
from regress.study import Study
from regress.tracking.record import Execution, log_files


@task(
    name="summarise",
    task_run_name="summarise {study.name}",
    description="Results, contaminated rows, comparison and figures, as files of the execution.",
    cache_policy=NO_CACHE,
)
def summarise(
    execution: Execution,
    study: Study,
    contaminated: Mapping[str, Data],
    evaluated: Sequence[EvaluatedShard],
    findings: StudyResult,
    figures: Future[dict[str, bytes]],
) -> None:
    log_files(execution, outcome_files(study, contaminated, evaluated, findings) | figures.result())
