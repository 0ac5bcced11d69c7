"""An execution's pages in MLflow: a preset view that compares its trials, and a description of its run.

MLflow stores a shared view in a tag of the experiment, `mlflow.sharedViewState.KEY`, as the page's state in
JSON. The state below follows MLflow 3.17; a test opens it in a browser.
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
from regress.tracking.execution import Execution
from regress.tracking.mlflow_internals import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NOTE,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)
from regress.tracking.retry import retry_on_disconnect
from regress.tracking.store import Store

MAX_VIEWS = 5  # of this program in an experiment: the newest
PAGE = 100  # runs that MLflow's page loads at once
SLOW = 500  # runs beyond which the page is slow
_TAG_PREFIX = "mlflow.sharedViewState."  # of all shared views
_KEY_PREFIX = "regress-"  # of this program's views
_AXES = ("loss", "lr", "sigma", "order", "contamination")
_MAX_ROWS = 8  # of each table in the description
_NOTE_LIMIT = 8000  # characters of a tag's value


@retry_on_disconnect
def publish_view(execution: Execution, study: Study, outcome: Outcome) -> None:
    """Write the execution's view and description, and delete the oldest views.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    client, experiment_id, run_id = execution.store.client, execution.experiment_id, execution.run_id
    state = json.dumps(view_state(study, run_id), separators=(",", ":"))
    client.set_experiment_tag(experiment_id, _view_tag(run_id), state)
    client.set_tag(run_id, MLFLOW_RUN_NOTE, render_description(outcome, _view_page(experiment_id, run_id)))
    _delete_old_views(execution.store, experiment_id, run_id)


def comparison_url(store: Store, experiment_id: str, run_id: str) -> str:
    """Return the address of an execution's view, or of its run if the view has been deleted."""
    if _view_tag(run_id) in store.client.get_experiment(experiment_id).tags:
        return f"{store.ui}/{_view_page(experiment_id, run_id)}"
    return store.run_address(experiment_id, run_id)


def view_state(study: Study, run_id: str) -> dict[str, Any]:
    """Return the state of MLflow's page that shows only the trials of the execution `run_id`, best first.

    Sorted by a metric, the page lists child runs without their parents, which are collapsed otherwise.
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
            # The page adds charts of all other metrics to this section.
            _section("metrics", "Model metrics", display=False),
        ],
        "compareRunCharts": _charts(study, axes, metric),
    }


def render_description(outcome: Outcome, view_page: str) -> str:
    """Return the outcome in Markdown for the head of the run's page, with a link to its view."""
    link = f"[Compare its {outcome.trials:,} trials]({view_page}){_page_limits(outcome.trials)}.\n\n"
    text = link + render_markdown(description_blocks(outcome), most_rows=_MAX_ROWS)
    return text[:_NOTE_LIMIT].rsplit("\n", 1)[0]


def _metric_columns(ranking: str) -> list[str]:
    """Return the metric that ranks the trials, and the other listed metrics."""
    ranking_metrics = {metric.final_name for metric in METRICS.values() if metric.ranks}
    return [ranking, *(name for name in listed_names() if name not in ranking_metrics)]


def _page_limits(trials: int) -> str:
    """Return a note on how many trials MLflow's page shows."""
    if trials <= PAGE:
        return ""
    slow = f", and is slow with more than {SLOW} (`plots/` shows all)" if trials > SLOW else ""
    return f": the page opens with the best {PAGE} and loads more at the end of its list{slow}"


def _view_page(experiment_id: str, run_id: str) -> str:
    """Return the address of the view's page, relative to that of MLflow's server."""
    query = f"{_share_parameter(run_id)}compareRunsMode=CHART&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def _view_tag(run_id: str) -> str:
    return f"{_TAG_PREFIX}{_KEY_PREFIX}{run_id}"


def _share_parameter(run_id: str) -> str:
    return f"viewStateShareKey={_KEY_PREFIX}{run_id}&"


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


def _delete_old_views(store: Store, experiment_id: str, latest: str) -> None:
    """Delete this program's views except that of `latest` and the next newest ones."""
    tags = store.client.get_experiment(experiment_id).tags
    prefix = _view_tag("")
    run_ids = [tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)]
    older = [run_id for run_id in run_ids if run_id != latest]
    newest_first = sorted(older, key=lambda run_id: _start_time(store, run_id), reverse=True)
    for run_id in newest_first[MAX_VIEWS - 1 :]:
        with _ignore_missing():  # another execution may have deleted it
            store.client.delete_experiment_tag(experiment_id, _view_tag(run_id))
        with _ignore_missing():
            _remove_link(store.client.get_run(run_id), store)


def _remove_link(run: Run, store: Store) -> None:
    """Replace the link to a deleted view in a description by one to the list of runs."""
    note, parameter = run.data.tags.get(MLFLOW_RUN_NOTE, ""), _share_parameter(run.info.run_id)
    if parameter in note and run.info.lifecycle_stage == LifecycleStage.ACTIVE:
        store.client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, note.replace(parameter, ""))


def _start_time(store: Store, run_id: str) -> int:
    """Return the run's start time in milliseconds; 0 if the run does not exist."""
    with _ignore_missing():
        return int(store.client.get_run(run_id).info.start_time)
    return 0


@contextmanager
def _ignore_missing() -> Iterator[None]:
    """Ignore that a run or a tag does not exist."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
