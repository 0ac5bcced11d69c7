"""The flow `reproduce`: retrains recorded executions and reports whether their numbers still hold."""

import getpass
import json
import time
from typing import Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.client.schemas import State
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.runtime.handover import Handover
from flows.runtime.tags import flow_run_tags
from regress.pipeline.steps import EvaluatedShard
from regress.report.markdown import render_markdown
from regress.rerun.controls import Control
from regress.rerun.judge import RerunData, has_equal_bits, judge
from regress.rerun.recorded import RecordedExecution
from regress.rerun.retrain import (
    UNPERTURBED,
    Perturbation,
    RoundingPerturbation,
    collect_rows,
    with_fresh_seed,
)
from regress.rerun.statistics import required_replicates
from regress.rerun.verdict import RerunReport, Verdict, worst_verdict
from regress.rerun.verdict_tables import verdict_blocks
from regress.study import Study
from regress.study.shards import cut_into_shards
from regress.tracking.execution import Execution, abort_execution, environment_file
from regress.tracking.find import find_executions
from regress.tracking.read import read_record
from regress.tracking.rerun_runs import begin_rerun, finish_rerun
from regress.tracking.store import Store, open_store
from tasks.rerun import control_bits, control_statistics, retrain_shard, run_oracle

# The executions that a command has read already.
EXECUTIONS: Handover[list[RecordedExecution]] = Handover("executions")


class NotReproduced(Exception):
    """A rerun that drifted or is inconclusive; `outcome` is what the flow would have returned."""

    def __init__(self, message: str, outcome: dict[str, Any]) -> None:
        super().__init__(message, outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        return str(self.args[0])


@flow(
    name="reproduce",
    flow_run_name="reproduce {run}",
    description="Trains recorded executions again and compares bits, tolerances, statistics and theory.",
    task_runner=ThreadPoolTaskRunner(max_workers=2),  # type: ignore[arg-type]
)
def reproduce(run: str = "baseline") -> dict[str, Any] | State[Any]:
    """Train recorded executions again.

    Args:
        run: An execution's run id, latest for the newest finished one, or baseline for the one of every
            experiment.
    """
    store = open_store()
    # All are read before any is trained, so that bad input leaves nothing behind.
    executions = EXECUTIONS.take_or(lambda: [read_record(store, r) for r in find_executions(store, run)])
    outcomes, tables = [], []
    for execution in executions:
        rerun, report = _rerun(store, execution)
        outcomes.append({"rerun_id": rerun.run_id, **report.as_json()})
        url = store.run_address(execution.experiment_id, execution.run_id)
        tables.append(render_markdown(verdict_blocks(report, url)))
        create_link_artifact(
            rerun.address, key="rerun", link_text=f"Rerun of {execution.study.name} in MLflow"
        )
    create_markdown_artifact(
        "\n---\n".join(tables), key="verdict", description="Do the numbers still hold?"
    )
    outcome = _combine_outcomes(outcomes)
    if outcome["verdict"] == Verdict.HOLDS:
        return outcome
    failed = (row for row in outcomes if row["verdict"] != Verdict.HOLDS)
    message = f"{outcome['verdict']}: " + ", ".join(f"{row['study']} {row['run_id']}" for row in failed)
    return Failed(message=message, data=NotReproduced(message, outcome))


def _combine_outcomes(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only outcome, or the first of the worst with all of them under `reruns`."""
    verdict = worst_verdict([outcome["verdict"] for outcome in outcomes])
    worst = next(outcome for outcome in outcomes if outcome["verdict"] == verdict)
    return worst if len(outcomes) == 1 else {**worst, "reruns": outcomes}


def _rerun(store: Store, execution: RecordedExecution) -> tuple[Execution, RerunReport]:
    """Retrain one execution and record the verdict; if it is interrupted the rerun's run is FAILED."""
    start = time.perf_counter()
    rerun = begin_rerun(store, execution, getpass.getuser(), flow_run_tags())
    try:
        data = _collect_data(execution)
        environment = environment_file()["environment.json"]
        report = judge(execution, data, json.loads(environment))
        finish_rerun(rerun, report, environment, time.perf_counter() - start)
    except BaseException:
        abort_execution(rerun, "FAILED")
        raise
    return rerun, report


def _collect_data(execution: RecordedExecution) -> RerunData:
    """Run the trainings, controls and oracle checks of a rerun as tasks."""
    study = execution.study
    replicates = required_replicates(study.replicates, len(study.trials))
    fresh_study = None if replicates is None else with_fresh_seed(study, replicates)
    oracle_checks = run_oracle.submit(quote(study))
    retraining = _submit_shards(study)
    fresh_training = [] if fresh_study is None else _submit_shards(fresh_study)
    retrained = _results(retraining)
    controls: list[PrefectFuture[tuple[Control, ...]]] = [
        control.submit(quote(study), quote(retrained)) for control in (control_bits, control_statistics)
    ]
    rows = collect_rows(study, retrained)
    perturbed = None
    if not has_equal_bits(execution, rows):
        rounding = RoundingPerturbation(study.dtype)
        perturbed = collect_rows(study, _results(_submit_shards(study, rounding)))
    fresh = None if fresh_study is None else collect_rows(study, _results(fresh_training), fresh_study)
    return RerunData(
        retrained=rows,
        fresh=fresh,
        perturbed=perturbed,
        controls=[control for future in controls for control in future.result()],
        oracle_checks=oracle_checks.result(),
    )


def _submit_shards(
    study: Study, perturbation: Perturbation = UNPERTURBED
) -> list[PrefectFuture[EvaluatedShard]]:
    clean = study.problem.draw(study.seed, study.replicates)
    shards = cut_into_shards(study)
    return [retrain_shard.submit(quote(shard), quote(clean), quote(perturbation)) for shard in shards]


def _results(futures: list[PrefectFuture[EvaluatedShard]]) -> list[EvaluatedShard]:
    return [future.result() for future in futures]
