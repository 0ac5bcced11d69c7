"""Runs a second into a fresh SQLite store: rows in bulk, MLflow's client, and its fluent API.

A run has what a trial of the default study leaves: its params, three histories of ten epochs with their
quantiles, final metrics, tags, a data set and a plot. All three sides write to one store, which
`open_store` has put in WAL mode: the ratios owe nothing to that.
"""

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_SOURCE_NAME, MLFLOW_USER

from benchmarks.measure import Result, Side, take_turns
from regress.load import load
from regress.study import Trial
from regress.summary import HISTORIES
from regress.tracking.bulk import write_in_bulk
from regress.tracking.record import trial_params
from regress.tracking.runs import FinishedRun, put, write_by_client
from regress.tracking.store import open_store

ROUNDS = 7
BULK, CLIENT, FLUENT = 200, 20, 2  # runs a round


def tracking() -> list[Result]:
    """The same runs written in three ways, each round under parents of their own."""
    runs = [_run(trial) for trial in load("default").trials()[:BULK]]
    with TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_tracking_uri(store.uri)
        experiment = store.client.create_experiment("tracking", Path(folder, "artifacts").as_uri())
        bulk, client, fluent = take_turns(
            ROUNDS,
            [
                Side(lambda: write_in_bulk(store.client, experiment, _adopted(runs)), BULK),
                Side(lambda: write_by_client(store.client, experiment, _adopted(runs[:CLIENT])), CLIENT),
                Side(lambda: write_fluently(experiment, _adopted(runs[:FLUENT])), FLUENT),
            ],
        )
    return [
        Result("tracking/client", 1 / bulk, 1 / client, "runs/s", "the peer in batches", True),
        Result("tracking/fluent", 1 / bulk, 1 / fluent, "runs/s", "the peer metric by metric", True),
    ]


def write_fluently(experiment_id: str, runs: list[FinishedRun]) -> None:
    """Writes runs as MLflow's tutorials do, with a call for each metric and epoch."""
    for run in runs:
        with mlflow.start_run(experiment_id=experiment_id, run_name=run.name, tags=run.all_tags):
            mlflow.log_params(dict(run.params))
            for metric in run.metrics:
                mlflow.log_metric(metric.key, metric.value, step=metric.step)
            if run.dataset is not None:
                dataset = run.dataset.dataset
                mlflow.log_input(
                    MetaDataset(CodeDatasetSource({}), dataset.name, dataset.digest), "training"
                )
            with TemporaryDirectory() as folder:
                put(folder, run.files)
                for name in run.files:
                    mlflow.log_artifact(str(Path(folder, name)))


def _adopted(runs: list[FinishedRun]) -> list[FinishedRun]:
    """The runs under another parent, which gives them other ids."""
    parent = uuid.uuid4().hex
    return [replace(run, parent=parent) for run in runs]


def _run(trial: Trial) -> FinishedRun:
    now = int(time.time() * 1000)
    return FinishedRun(
        name=trial.label,
        key=trial.digest,
        parent="",
        user="benchmark",
        start_time=now,
        end_time=now,
        tags={
            MLFLOW_USER: "benchmark",
            MLFLOW_SOURCE_NAME: "regress",
            "regress.kind": "trial",
            "regress.trial": trial.digest,
        },
        params=trial_params(trial),
        metrics=list(_metrics(trial.epochs, now)),
        dataset=DatasetInput(
            Dataset(str(trial.contamination), "0123456789abcdef", "code", '{"tags": {}}'),
            [InputTag(MLFLOW_DATASET_CONTEXT, "training")],
        ),
        files={"trial.png": os.urandom(15_000)},
    )


def _metrics(epochs: int, now: int) -> Iterator[Metric]:
    finals = 16  # as many as a trial has that reaches no tolerance
    for i in range(finals):
        yield Metric(f"final_{i}", 1.0, now, epochs)
    for name in HISTORIES:
        for suffix in ("", "_q05", "_q95"):
            for epoch in range(1, epochs + 1):
                yield Metric(name + suffix, 1 / epoch, now, epoch)
