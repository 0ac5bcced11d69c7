"""An execution's pages in MLflow: its preset view and its description, also in a browser."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow import MlflowClient

from regress.comparison import Diverged
from regress.pipeline.run import run
from regress.report.outcome import Outcome
from regress.study import Study
from regress.study.load import load, shipped
from regress.tracking.execution import Execution
from regress.tracking.store import Store, get_or_create_experiment, open_store
from regress.tracking.view import MAX_VIEWS, comparison_url, publish_view, render_description, view_state
from tests.browser import browser_page, require_chromium

RUN = "0123456789abcdef" * 2
FOREIGN = {"mlflow.sharedViewState.somebody": "{}", "mlflow.sharedViewState.regression": "{}", "team": "a"}
DRAWN = """() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
    kinds: plot.data.map(trace => trace.type),
    points: Math.max(...plot.data.map(trace => (trace.z || trace.y).length)),
    names: new Set(plot.data.map(trace => trace.uuid || trace.name)).size,
    scale: plot.layout.yaxis.type,
}))"""
INKED = """canvas => canvas.getContext('2d')
    .getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0)"""


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Return the outcome of this module's small study."""
    return replace(run(grid()), efficiencies=()).outcome


def grid(**fields: object) -> Study:
    return Study(
        **{
            "name": "grid",
            "problem": "linear(rows=40, val=20)",
            "contaminations": ["clean", "vertical(fraction=0.1, shift=10.0)"],
            "losses": ["l2", "huber(delta=1.0)"],
            "lrs": [0.03, 0.3],
            "sigmas": [0.0, 1.0],
            "orders": ["shuffled", "signed"],
            "epochs": 3,
            "batch_sizes": [8],
            "replicates": 3,
            **fields,
        }
    )


def longest() -> Study:
    """Return a study with long lists and names."""
    shifts = [f"vertical(fraction=0.123456789012345{i}, shift=1.2345678901234567e-30{i})" for i in range(9)]
    return grid(
        name="x" * 80,
        contaminations=shifts,
        losses=[f"huber(delta=1.23456789012{i}e-300)" for i in range(9)],
        lrs=[i / 7 for i in range(1, 30)],
        batch_sizes=list(range(1, 30)),
    )


@pytest.mark.parametrize("study", [*map(load, shipped()), grid(), longest()], ids=lambda study: study.name)
def test_the_state_fits_a_tag_and_uses_recorded_names(study: Study) -> None:
    state = view_state(study, RUN)
    assert len(json.dumps(state)) <= 5000
    ranking = {"table": "val_median_abs_residual"}.get(study.problem.name, "final_param_error")
    charts = {chart["type"]: chart for chart in state["compareRunCharts"]}
    axes = charts["PARALLEL"]["selectedParams"]
    assert axes[:5] == ["loss", "lr", "sigma", "order", "contamination"]
    assert charts["PARALLEL"]["selectedMetrics"] == [ranking]
    assert state["orderByKey"] == f"metrics.`{ranking}`"
    assert ("CONTOUR" in charts) == (len(study.lrs) > 1 and len(study.sigmas) > 1)
    assert ("batch_size" in axes) == (len(study.batch_sizes) > 1)
    assert {chart["metricSectionId"] for chart in charts.values()} <= {
        section["uuid"] for section in state["compareRunSections"]
    }


def test_the_description_contains_the_outcome(outcome: Outcome) -> None:
    text = render_description(outcome, "#/view")
    assert text.startswith("[Compare its 32 trials](#/view).\n")
    for row in outcome.best:
        assert f"| {row.contamination} | {row.loss} | {row.lr:g} |" in text
    assert "No trial diverged." in text
    assert "The order changed the error in " in text


def test_the_description_of_many_trials_states_the_limits_of_the_page(outcome: Outcome) -> None:
    assert "best 100" in render_description(replace(outcome, trials=101), "#/view")
    assert "is slow" not in render_description(replace(outcome, trials=500), "#/view")
    assert "is slow with more than 500" in render_description(replace(outcome, trials=501), "#/view")


def test_the_description_says_if_all_trials_diverged(outcome: Outcome) -> None:
    diverged = Diverged("clean", "l2", trials=16, diverged=16, wholly=16, from_lr=3.0)
    text = render_description(replace(outcome, best=(), diverged=(diverged,), orders=()), "#/view")
    assert "All trials in the ranking diverged." in text
    assert "| clean | l2 | 16 | 16 | 16 | 3 |" in text


@example(name="a|b")
@example(name="x" * 900)
@given(name=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=900))
def test_a_description_of_any_names_fits_a_tag_and_keeps_its_tables(outcome: Outcome, name: str) -> None:
    effects = tuple(replace(row, contamination=name, p_holm=0.01, log_ratio=1.0) for row in outcome.orders)
    best = tuple(replace(row, contamination=name) for row in outcome.best) * 6
    text = render_description(replace(outcome, best=best, orders=effects), "#/view")
    assert len(text) <= 8000
    rows = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ")]
    assert set(rows) <= {8, 10}  # the tables have 7 and 9 columns


@pytest.fixture
def store(workplace: Path) -> Store:
    return open_store()


def executions(store: Store, count: int) -> Iterator[Execution]:
    """Yield parent runs that begin one second after another."""
    experiment_id = get_or_create_experiment(store, "grid")
    began = int(time.time() * 1000)
    for second in range(count):
        run = store.client.create_run(experiment_id, start_time=began + 1000 * second)
        yield Execution(store, experiment_id, run.info.run_id, "somebody")


def view_tags(store: Store) -> set[str]:
    """Return the names of the experiment's tags."""
    return set(store.client.get_experiment(get_or_create_experiment(store, "grid")).tags)


def test_the_newest_views_and_those_of_other_programs_are_kept(store: Store, outcome: Outcome) -> None:
    for key, value in FOREIGN.items():
        store.client.set_experiment_tag(get_or_create_experiment(store, "grid"), key, value)
    all_executions = list(executions(store, MAX_VIEWS + 2))
    for execution in all_executions:
        publish_view(execution, grid(), outcome)
    kept = {f"mlflow.sharedViewState.regress-{execution.run_id}" for execution in all_executions[2:]}
    assert view_tags(store) == kept | FOREIGN.keys()
    oldest, newest = all_executions[0], all_executions[-1]
    assert comparison_url(store, newest.experiment_id, newest.run_id).endswith(
        f"/runs?viewStateShareKey=regress-{newest.run_id}&compareRunsMode=CHART&workflowType=machine_learning"
    )
    assert comparison_url(store, oldest.experiment_id, oldest.run_id) == oldest.address
    notes = [store.client.get_run(e.run_id).data.tags["mlflow.note.content"] for e in (oldest, newest)]
    assert ["viewStateShareKey" in note for note in notes] == [False, True]


def test_an_execution_that_ends_after_newer_ones_keeps_its_view(store: Store, outcome: Outcome) -> None:
    slow, *quick = executions(store, MAX_VIEWS + 1)
    for execution in (*quick, slow):
        publish_view(execution, grid(), outcome)
    assert f"mlflow.sharedViewState.regress-{slow.run_id}" in view_tags(store)
    assert len(view_tags(store)) == MAX_VIEWS


def test_the_view_of_a_deleted_run_is_deleted_first(store: Store, outcome: Outcome) -> None:
    first, *newer = executions(store, MAX_VIEWS + 1)
    publish_view(first, grid(), outcome)
    store.client.delete_run(first.run_id)
    for execution in newer:
        publish_view(execution, grid(), outcome)
    assert f"mlflow.sharedViewState.regress-{first.run_id}" not in view_tags(store)


def test_the_view_of_a_missing_run_is_deleted_first(store: Store, outcome: Outcome) -> None:
    missing = f"mlflow.sharedViewState.regress-{RUN}"
    store.client.set_experiment_tag(get_or_create_experiment(store, "grid"), missing, "{}")
    for execution in executions(store, MAX_VIEWS):
        publish_view(execution, grid(), outcome)
    assert missing not in view_tags(store)
    assert len(view_tags(store)) == MAX_VIEWS


@pytest.mark.usefixtures("prefect_server")
def test_a_browser_draws_the_charts_of_one_execution(
    workplace: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_chromium()
    from flows.robustness import robustness

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    robustness(grid(losses=["l1"], sigmas=[0.0], orders=["shuffled"], contaminations=["clean"]))
    study = grid(contaminations=["clean"])
    outcome = robustness(study)
    trials = len(study.trials)
    run_id, experiment_id = outcome["study_run_id"], outcome["experiment_id"]
    assert MlflowClient(mlflow_server).get_run(run_id).info.status == "FINISHED"
    with browser_page() as page:
        page.goto(f"{mlflow_server}/#/experiments/{experiment_id}/runs/{run_id}")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name=f"Compare its {trials} trials").click()
        view = opened.value
        view.wait_for_function("document.querySelectorAll('.js-plotly-plot').length == 2")
        view.wait_for_function("document.querySelector('canvas.foreground') !== null")
        view.get_by_text(f"{trials} matching runs").wait_for()  # and none of the other execution's
        for loss in study.losses:
            view.get_by_text(f"Group: {loss}").wait_for()
        for title in ("Parallel Coordinates", "lr vs. sigma vs. final_param_error", "param_error"):
            assert view.get_by_text(title, exact=True).first.is_visible(), title
        labels = view.locator(".parcoords .dimension .label").all_text_contents()
        assert labels[:5] == ["loss", "lr", "sigma", "order", "contamination"]
        assert len(labels) == 6 and labels[5].startswith("final_")  # shortened where it is narrow
        assert view.locator("canvas.foreground").evaluate(INKED)
        contour, lines = view.evaluate(DRAWN)
        assert contour["kinds"] == ["contour", "scatter"]
        assert contour["points"] == trials
        assert (lines["names"], lines["points"], lines["scale"]) == (trials, study.epochs, "log")
        for complaint in ("No chart data", "No data", "Error loading", "went wrong"):
            assert view.get_by_text(complaint).count() == 0, complaint
