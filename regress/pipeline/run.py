"""What a study is made of: the one description of its steps and of what each needs from the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from regress.comparison import Comparison, RelativeEfficiency, compare, compare_with_references
from regress.contaminations import Contamination
from regress.estimators.published import PublishedCheck, check_published_fits
from regress.estimators.references import Reference, fit_references
from regress.fleet import Trajectory
from regress.metrics.summary import TrialSummary
from regress.orders import Order
from regress.pipeline.checkpoint import CheckpointFolder
from regress.pipeline.stage_timer import StageTimer
from regress.pipeline.steps import (
    EvaluatedShard,
    Permutations,
    contaminate,
    evaluate_shard,
    generate,
    order_rows,
    summarise_shard,
    train_shard,
)
from regress.pipeline.submit import Pending, Progress, Submit, ignore_progress, run_directly
from regress.problems import Data
from regress.report.outcome import PublishedRow
from regress.report.study_result import StudyResult
from regress.study import Study
from regress.study.shards import Shard, cut_into_shards
from regress.theory.predictions import Theory, predict

Perturb = Callable[[Data], Data]


def run(
    study: Study,
    submit: Submit = run_directly,
    progress: Progress = ignore_progress,
    *,
    checkpoints: CheckpointFolder | None = None,
    on_evaluated: Callable[[Sequence[EvaluatedShard]], None] = lambda _: None,
) -> StudyResult:
    """Train, evaluate and compare all trials of a study.

    `submit` decides where each step runs; `progress` is told of each shard's models once they are trained.
    `checkpoints` keep trained shards, and those found there are not trained again. `on_evaluated` is called
    with all shards once they are evaluated, while the reference estimators may still be at work.
    """
    timer = StageTimer()
    with timer.measure("data"):
        rows = _submit_rows(study, submit)
        contaminated = {str(c): data.result().contaminated for c, data in rows.contaminated.items()}
    with timer.measure("train"):
        shards = cut_into_shards(study)
        pending = [_submit_shard(shard, rows, submit, checkpoints) for shard in shards]
        predicted = _submit_predictions(study, shards, rows, submit)
        # Submitted last: they run while the trials' metrics come in and are recorded.
        fitted = [
            submit(fit_references, study.problem, c, data, rows.clean)
            for c, data in rows.contaminated.items()
        ]
        theory = {digest: values for part in predicted for digest, values in part.result().items()}
        evaluated = tuple(
            _with_theory(_report(shard.result(), study, progress), theory) for shard in pending
        )
    on_evaluated(evaluated)
    with timer.measure("compare"):
        references = tuple(reference for part in fitted for reference in part.result())
        summaries = tuple(summary for shard in evaluated for summary in shard.summaries)
        compared = submit(compare_study, study, summaries, references).result()
    return StudyResult(
        study=study,
        summaries=summaries,
        tables=tuple(shard.table for shard in evaluated),
        comparison=compared.comparison,
        efficiencies=compared.efficiencies,
        published=tuple(map(PublishedRow.of, compared.published)),
        references=references,
        contaminated=contaminated,
        seconds=timer.seconds,
    )


def run_shard(shard: Shard, clean: Data, perturb: Perturb = lambda data: data) -> EvaluatedShard:
    """Train and evaluate one shard alone; `clean` are its problem's rows.

    `perturb` changes the contaminated rows, for controls that a rerun must notice.
    """
    data, trajectory = train_alone(shard, clean, perturb)
    return evaluate_shard(shard, data, clean, trajectory)


def train_alone(
    shard: Shard,
    clean: Data,
    perturb: Perturb = lambda data: data,
    permutations: Permutations | None = None,
) -> tuple[Data, Trajectory]:
    """Train one shard and return its contaminated rows, too; in the order `permutations` where given."""
    trial = shard.trials[0]
    model = trial.problem.model
    data = perturb(contaminate(shard.contamination, clean, model, trial.seed))
    if permutations is None:
        permutations = order_rows(
            shard.order, shard.contamination, data, model, trial.seed, trial.epochs, trial.batch_size
        )
    return data, train_shard(shard, data, permutations)


@dataclass(frozen=True)
class Compared:
    """A study's trials compared with each other, with reference estimators and with published fits."""

    comparison: Comparison
    efficiencies: tuple[RelativeEfficiency, ...]
    published: tuple[PublishedCheck, ...]


def compare_study(
    study: Study, summaries: Sequence[TrialSummary], references: Sequence[Reference]
) -> Compared:
    """Compare all trials: winners, divergence, order effects, references, published fits."""
    comparison = compare(summaries, study.problem.ranking, study.seed)
    return Compared(
        comparison=comparison,
        efficiencies=compare_with_references(references, summaries, comparison.best),
        published=check_published_fits(study.problem),
    )


@dataclass(frozen=True)
class _Rows:
    """The pending rows of a study and the orders in which they are visited."""

    clean: Pending[Data]
    contaminated: Mapping[Contamination, Pending[Data]]
    permutations: Mapping[tuple[Contamination, Order, int], Pending[Permutations]]


def _submit_rows(study: Study, submit: Submit) -> _Rows:
    model = study.problem.model
    clean = submit(generate, study.problem, study.seed, study.replicates)
    contaminated = {c: submit(contaminate, c, clean, model, study.seed) for c in study.contaminations}
    permutations = {
        (c, order, size): submit(
            order_rows, order, c, contaminated[c], model, study.seed, study.epochs, size
        )
        for c in study.contaminations
        for order in study.orders
        for size in study.batch_sizes
    }
    return _Rows(clean, contaminated, permutations)


def _submit_shard(
    shard: Shard, rows: _Rows, submit: Submit, checkpoints: CheckpointFolder | None
) -> Pending[EvaluatedShard]:
    data = rows.contaminated[shard.contamination]
    if checkpoints is not None and (metrics := checkpoints.load(shard)) is not None:
        return submit(summarise_shard, shard, data, metrics)
    order = rows.permutations[shard.contamination, shard.order, shard.schedule.batch_size]
    trajectory = submit(train_shard, shard, data, order)
    return submit(evaluate_shard, shard, data, rows.clean, trajectory, checkpoints)


def _submit_predictions(
    study: Study, shards: Sequence[Shard], rows: _Rows, submit: Submit
) -> list[Pending[dict[str, Theory]]]:
    """Submit what theory predicts of the trials of each contamination and batch size."""
    groups: dict[tuple[Contamination, int], list[Shard]] = {}
    for shard in shards:
        groups.setdefault((shard.contamination, shard.schedule.batch_size), []).append(shard)
    return [
        submit(
            predict,
            contamination,
            size,
            group,
            rows.contaminated[contamination],
            rows.clean,
            study.orders,
            *(rows.permutations[contamination, order, size] for order in study.orders),
        )
        for (contamination, size), group in groups.items()
    ]


def _report(evaluated: EvaluatedShard, study: Study, progress: Progress) -> EvaluatedShard:
    progress("models", len(evaluated.shard.trials) * study.replicates)
    return evaluated


def _with_theory(evaluated: EvaluatedShard, theory: Mapping[str, Theory]) -> EvaluatedShard:
    summaries = [replace(summary, theory=theory[summary.trial.digest]) for summary in evaluated.summaries]
    return replace(evaluated, summaries=tuple(summaries))
