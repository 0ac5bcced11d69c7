"""The flow of a rerun: train recorded executions again, and say whether their numbers still hold."""

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

from flows.runtime.tags import flow_run_tags
from regress.pipeline.steps import EvaluatedShard
from regress.rerun.judge import RerunData, is_equal, judge
from regress.rerun.recorded import Record
from regress.rerun.retrain import UNPERTURBED, Perturbation, RoundingPerturbation, results, with_seed
from regress.rerun.statistics import fresh_replicates
from regress.rerun.verdict import Report, Verdict, markdown, worst
from regress.study import Study
from regress.study.shards import cut_into_shards
from regress.tracking.read import find_executions, read_record
from regress.tracking.record import Execution, abort_execution, environment_file
from regress.tracking.rerun_runs import begin_rerun, finish_rerun
from regress.tracking.store import Store, open_store
from tasks.rerun import control_bits, control_statistics, retrain_shard, run_oracle


class NotReproduced(Exception):
    """A rerun that drifted, or proved nothing; `outcome` is what the flow would have returned."""

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
    # All are read before any is trained: bad input leaves nothing.
    records = [read_record(store, execution) for execution in find_executions(store, run)]
    outcomes, texts = [], []
    for one in records:
        rerun, report = _rerun(store, one)
        outcomes.append({"rerun_id": rerun.run_id, **report.as_json()})
        texts.append(markdown(report, store.run_address(one.experiment_id, one.run_id)))
        create_link_artifact(rerun.address, key="rerun", link_text=f"Rerun of {one.study.name} in MLflow")
    create_markdown_artifact("\n---\n".join(texts), key="verdict", description="Do the numbers still hold?")
    verdict = worst([outcome["verdict"] for outcome in outcomes])
    # Of several baselines the first of the worst speaks for all.
    speaker = next(outcome for outcome in outcomes if outcome["verdict"] == verdict)
    outcome = speaker if len(outcomes) == 1 else {**speaker, "reruns": outcomes}
    if verdict == Verdict.HOLDS:
        return outcome
    message = f"{verdict}: " + ", ".join(
        f"{one['study']} {one['run_id']}" for one in outcomes if one["verdict"] != Verdict.HOLDS
    )
    return Failed(message=message, data=NotReproduced(message, outcome))


def _rerun(store: Store, one: Record) -> tuple[Execution, Report]:
    """One execution trained again and recorded; what stops it ends the rerun's own run, FAILED."""
    began = time.perf_counter()
    rerun = begin_rerun(store, one, getpass.getuser(), flow_run_tags())
    try:
        evidence = _evidence(one)
        environment = environment_file()["environment.json"]
        report = judge(one, evidence, json.loads(environment))
        finish_rerun(rerun, report, environment, time.perf_counter() - began)
    except BaseException:
        abort_execution(rerun, "FAILED")
        raise
    return rerun, report


def _evidence(one: Record) -> RerunData:
    study = one.study
    replicates = fresh_replicates(study.replicates, len(study.trials))
    other = None if replicates is None else with_seed(study, replicates)
    claimed = run_oracle.submit(quote(study))
    retrained, freshly = _submit(study), [] if other is None else _submit(other)
    again = _results(retrained)
    controls = [
        control.submit(quote(study), quote(again)) for control in (control_bits, control_statistics)
    ]
    rows = results(study, again)
    rounded = (
        None
        if is_equal(one, rows)
        else results(study, _results(_submit(study, RoundingPerturbation(study.dtype))))
    )
    return RerunData(
        again=rows,
        fresh=None if other is None else results(study, _results(freshly), other),
        rounded=rounded,
        controls=[control for future in controls for control in future.result()],
        claims=claimed.result(),
    )


def _submit(study: Study, alter: Perturbation = UNPERTURBED) -> list[PrefectFuture[EvaluatedShard]]:
    clean = study.problem.draw(study.seed, study.replicates)
    shards = cut_into_shards(study)
    return [retrain_shard.submit(quote(shard), quote(clean), quote(alter)) for shard in shards]


def _results(futures: list[PrefectFuture[EvaluatedShard]]) -> list[EvaluatedShard]:
    return [future.result() for future in futures]
