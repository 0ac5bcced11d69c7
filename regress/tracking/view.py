"""How an execution shows itself in MLflow's pages: a preset view of its trials, and a description.

MLflow opens a view that somebody shared from a tag of the experiment, `mlflow.sharedViewState.KEY`, which
holds the page's state as JSON. The state here was read off 3.17's own and is tried in a browser by a test.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException

from regress.metrics.table import METRICS, final_metric, listed_names
from regress.report.markdown import render_markdown
from regress.report.outcome import Outcome
from regress.report.tables import description_blocks
from regress.study import Study
from regress.tracking.mlflow_internals import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NOTE,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)
from regress.tracking.record import Execution
from regress.tracking.retry import retry_on_disconnect
from regress.tracking.store import Store

KEPT = 5  # views an experiment: the newest of ours
PAGE = 100  # runs that MLflow's page loads at once
SLOW = 500  # runs on the page from which on it gets slow
_SHARED = "mlflow.sharedViewState."
_OURS = f"{_SHARED}regress-"
_AXES = ("loss", "lr", "sigma", "order", "contamination")
_ROWS = 8  # of each table in the description
_NOTE_LIMIT = 8000  # characters of a tag's value


@retry_on_disconnect
def present(execution: Execution, study: Study, outcome: Outcome) -> None:
    """Gives the execution its view and its description, and removes the views that newer ones replace."""
    client, experiment_id, run_id = execution.store.client, execution.experiment_id, execution.run_id
    state = json.dumps(view_state(study, run_id), separators=(",", ":"))
    client.set_experiment_tag(experiment_id, _OURS + run_id, state)
    client.set_tag(run_id, MLFLOW_RUN_NOTE, description(outcome, _view_page(experiment_id, run_id)))
    _prune(execution.store, experiment_id, run_id)


def way(store: Store, experiment_id: str, run_id: str) -> str:
    """The address of an execution's view, or of its run where the view is no longer kept."""
    if _OURS + run_id in store.client.get_experiment(experiment_id).tags:
        return f"{store.ui}/{_view_page(experiment_id, run_id)}"
    return store.run_address(experiment_id, run_id)


def view_state(study: Study, run_id: str) -> dict[str, Any]:
    """What MLflow's page is to show: only the trials of the execution `run_id`, the best first.

    Sorted by a metric the page lists child runs without their parents, which would hide them.
    """
    metric = final_metric(study.problem.ranking)
    axes = [*_AXES, *(["batch_size"] if len(study.batch_sizes) > 1 else [])]
    columns = [f"params.`{name}`" for name in axes]
    columns += [f"metrics.`{name}`" for name in _metric_columns(metric)]
    return {
        "searchFilter": f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}' and tags.`regress.kind` = 'trial'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": True,
        "selectedColumns": columns,
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "param", "groupByData": "loss"}],
        },
        "useGroupedValuesInCharts": False,
        "hideEmptyCharts": True,
        "isAccordionReordered": True,  # keeps the sections in this order
        "compareRunSections": [
            _section("settings", "Settings against final error", columns=1, cardHeight=400),
            _section("error", "Error by lr, sigma, epoch", columns=2),
            # Where the page puts a chart of each metric that has none.
            _section("metrics", "Model metrics", display=False),
        ],
        "compareRunCharts": _charts(study, axes, metric),
    }


def description(outcome: Outcome, view_page: str) -> str:
    """Return the outcome in Markdown for the head of the run's page, with a link to its view."""
    link = f"[Compare its {outcome.trials:,} trials]({view_page}){_caveat(outcome.trials)}.\n\n"
    text = link + render_markdown(description_blocks(outcome), most_rows=_ROWS)
    return text[:_NOTE_LIMIT].rsplit("\n", 1)[0]


def _metric_columns(ranking: str) -> list[str]:
    """Return the metric that ranks, and those that are listed beside it."""
    others = {metric.final_name for metric in METRICS.values() if metric.ranks}
    return [ranking, *(name for name in listed_names() if name not in others)]


def _caveat(trials: int) -> str:
    if trials <= PAGE:
        return ""
    slow = f", and gets slow past some {SLOW}: `plots/` has them all" if trials > SLOW else ""
    return f": the page opens on the best {PAGE}, loads more below its list{slow}"


def _view_page(experiment_id: str, run_id: str) -> str:
    """The view's page inside MLflow: what stands behind the address of its server."""
    query = f"{_share_key(run_id)}compareRunsMode=CHART&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def _share_key(run_id: str) -> str:
    return f"viewStateShareKey={_OURS.removeprefix(_SHARED)}{run_id}&"


def _chart(kind: str, section: str, **settings: Any) -> dict[str, Any]:
    card = {"uuid": kind.lower(), "type": kind, "metricSectionId": section}
    return {**card, "deleted": False, "isGenerated": False, **settings}


def _charts(study: Study, axes: list[str], metric: str) -> list[dict[str, Any]]:
    parallel = _chart("PARALLEL", "settings", selectedParams=axes, selectedMetrics=[metric])
    contour = _chart(
        "CONTOUR",
        "error",
        xaxis={"key": "lr", "type": "PARAM"},
        yaxis={"key": "sigma", "type": "PARAM"},
        zaxis={"key": metric, "type": "METRIC"},
    )
    line = _chart(
        "LINE",
        "error",
        metricKey="param_error",
        selectedMetricKeys=["param_error"],
        xAxisKey="step",
        lineSmoothness=0,
        scaleType="log",
    )
    is_plane = len(study.lrs) > 1 and len(study.sigmas) > 1
    return [parallel, contour, line] if is_plane else [parallel, line]


def _section(uuid: str, name: str, display: bool = True, **settings: int) -> dict[str, Any]:
    fixed = {"isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, "display": display, **fixed, **settings}


def _prune(store: Store, experiment_id: str, latest: str) -> None:
    """Deletes our views but the `latest` and the next newest ones; other people's have other keys."""
    tags = store.client.get_experiment(experiment_id).tags
    ours = [key.removeprefix(_OURS) for key in tags if key.startswith(_OURS)]
    others = [run_id for run_id in ours if run_id != latest]
    for run_id in sorted(others, key=lambda run_id: _started(store, run_id), reverse=True)[KEPT - 1 :]:
        with _unless_gone():  # another execution prunes too
            store.client.delete_experiment_tag(experiment_id, _OURS + run_id)
        with _unless_gone():
            _unlink(store.client.get_run(run_id), store)


def _unlink(run: Run, store: Store) -> None:
    """Lets a description's link lead to the plain list of runs, its view being gone."""
    note, key = run.data.tags.get(MLFLOW_RUN_NOTE, ""), _share_key(run.info.run_id)
    if key in note and run.info.lifecycle_stage == LifecycleStage.ACTIVE:
        store.client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, note.replace(key, ""))


def _started(store: Store, run_id: str) -> int:
    """When a run began, in milliseconds; 0 where it is gone."""
    with _unless_gone():
        return int(store.client.get_run(run_id).info.start_time)
    return 0


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
