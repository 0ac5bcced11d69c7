"""Record what a study came to."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.report.files import outcome_files
from regress.report.study_result import StudyResult
from regress.tracking.execution import Execution, log_files
from tasks.figure_worker import Drawing


@task(
    name="summarise",
    task_run_name="summarise {result.study.name}",
    description="Results, contaminated rows, comparison and figures, as files of the execution.",
    cache_policy=NO_CACHE,
)
def summarise(execution: Execution, result: StudyResult, figures: Drawing[dict[str, bytes]]) -> None:
    """Attach the study's files to its execution."""
    log_files(execution, outcome_files(result) | figures.result())
