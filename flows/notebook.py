"""The flow `notebook`: trains every exercise with many seeds and locates each printed number."""

import getpass
from typing import Annotated, Any

import numpy as np
from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from pydantic import Field

from flows.runtime.deployed import start_deployment_worker
from flows.runtime.tags import flow_run_tags
from regress import notebook
from regress.notebook import Exercise, Row, Trained
from regress.notebook.figures import render_exercise, render_second_derivative
from regress.notebook.tables import ensemble_blocks, select_outside, select_undetected
from regress.report.json import to_json
from regress.report.markdown import render_markdown
from regress.tracking.execution import (
    Execution,
    abort_execution,
    environment_file,
    finish_execution,
    log_files,
    open_parent,
)
from regress.tracking.store import open_store
from tasks.exercises import track_exercise, train_replicates
from tasks.figure_worker import figure_worker

EXPERIMENT = "notebook"


@flow(
    name="notebook",
    flow_run_name="notebook, {replicates} replicates",
    description="Runs the notebook's exercises and finds each number that it printed in its ensemble.",
    task_runner=ThreadPoolTaskRunner(max_workers=2),  # type: ignore[arg-type]
)
def run_notebook(
    replicates: Annotated[int, Field(ge=2)] = notebook.REPLICATES,
) -> dict[str, Any]:
    """Run the notebook's exercises.

    Args:
        replicates: Seeds of each exercise.
    """
    start_deployment_worker()
    store = open_store()
    execution = open_parent(store, EXPERIMENT, "notebook", getpass.getuser(), flow_run_tags())
    log_files(execution, environment_file())
    try:
        trained = _train(replicates)
        rows = (*notebook.locate_exercises(notebook.EXERCISES, trained), notebook.locate_last_batch())
        controls = notebook.locate_exercises((notebook.CONTROL,), trained)
        _track(execution, trained, rows)
        outcome = {
            "rows": [row.as_json() for row in rows],
            "controls": [row.as_json() | {"expected": "outside"} for row in controls],
        }
        table = render_markdown(ensemble_blocks(rows, controls))
        log_files(execution, {"notebook.json": to_json(outcome).encode(), "notebook.md": table.encode()})
        finish_execution(
            execution,
            {
                "outside": float(len(select_outside(rows))),
                "controls_inside": float(len(select_undetected(controls))),
            },
        )
    except BaseException:
        abort_execution(execution, "FAILED")
        raise
    create_markdown_artifact(table, key="notebook", description="Printed numbers in their ensembles")
    create_link_artifact(execution.address, key="mlflow", link_text="This execution in MLflow")
    return {"study_run_id": execution.run_id, "experiment_id": execution.experiment_id, **outcome}


def _train(replicates: int) -> Trained:
    """Train all exercises, one task for each block of replicates."""
    exercises = (*notebook.EXERCISES, notebook.CONTROL)
    blocks = []
    for first in range(0, replicates, notebook.BLOCK):
        trials = notebook.distinct_trials(exercises, companions=first == 0)
        count = min(notebook.BLOCK, replicates - first)
        blocks.append(train_replicates.submit(quote(trials), first, count))
    return notebook.join_blocks([block.result() for block in blocks])


def _track(execution: Execution, trained: Trained, rows: tuple[Row, ...]) -> None:
    """Record each exercise with its figures, half of which the figure worker draws."""
    drawn = {
        exercise: figure_worker.submit(render_exercise, exercise, trained)
        for exercise in notebook.EXERCISES[::2]
    }
    for exercise in (*notebook.EXERCISES[1::2], *notebook.EXERCISES[::2]):
        exercise_rows = [row for row in rows if row.exercise == exercise.name]
        files = drawn[exercise].result() if exercise in drawn else render_exercise(exercise, trained)
        track_exercise(quote(execution), quote(exercise), quote(exercise_rows), quote(files))
    figures = {"sin.png": render_second_derivative(np.arange(-5, 5, 0.1))}
    track_exercise(quote(execution), quote(Exercise("second derivative", ())), [], quote(figures))
