"""Runs per second written to new stores, by `Store.write`, MLflow's client and its fluent API.

A run has 14 params, three histories of ten epochs, 12 final metrics, 8 tags and a data set, and in the
benchmark `client-figures` also a figure. Our side writes runs as a study does: rows into a database, or by
eight clients over HTTP. The peers write one run after the other: the client with one `log_batch` per run,
the fluent API with a call for each metric and epoch, as in tutorials. Each side has a store with its own
defaults, for ours SQLite in WAL mode; in `client-wal` the peer's store has that mode as well.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from benchmarks.measure import Floats, Result, Side, take_turns
from regress.metrics.table import history_names
from regress.study import Trial
from regress.study.load import load
from regress.tracking.mlflow_internals import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
    forget_database,
)
from regress.tracking.runs import FinishedRun, write_files
from regress.tracking.store import Store, open_store
from regress.tracking.trial_runs import trial_params
from tests.ports import free_port
from tests.postgres import binaries, postgres
from tests.servers import server

Runs = list[FinishedRun]

TRIALS = load("default").trials
ROUNDS = 5
OURS, CLIENT, FLUENT, SERVED = 192, 16, 2, 16  # runs per round
FIGURE = {"trial.png": os.urandom(15_000)}
BATCHED, ONE_BY_ONE = "one log_batch per run", "a call for each metric"


def tracking() -> list[Result]:
    """Measure each store; its sides alternate in each round."""
    with TemporaryDirectory() as folder:
        results = [*_sqlite(Path(folder)), *_http(Path(folder))]
    return results + (_postgresql() if binaries() else [])


def _sqlite(folder: Path) -> Iterator[Result]:
    ours = open_store(f"sqlite:///{folder}/ours.db")
    wal = open_store(f"sqlite:///{folder}/wal.db").client
    default = MlflowClient(f"sqlite:///{folder}/default.db")
    bulk, bulk_figures, client, client_wal, client_figures, fluent = take_turns(
        ROUNDS,
        [
            _side(partial(_ours, ours, _experiment(ours.client, folder)), OURS),
            _side(partial(_ours, ours, _experiment(ours.client, folder)), OURS, FIGURE),
            _side(partial(_client, default, _experiment(default, folder)), CLIENT),
            _side(partial(_client, wal, _experiment(wal, folder)), CLIENT),
            _side(partial(_client, default, _experiment(default, folder)), CLIENT, FIGURE),
            _side(partial(write_fluently, default.tracking_uri, _experiment(default, folder)), FLUENT),
        ],
    )
    yield _result("client", bulk, client, BATCHED)
    yield _result("client-wal", bulk, client_wal, f"{BATCHED}, SQLite in WAL mode")
    yield _result("client-figures", bulk_figures, client_figures, f"{BATCHED}, and a figure")
    yield _result("fluent", bulk, fluent, ONE_BY_ONE)


def _http(folder: Path) -> Iterator[Result]:
    port = free_port()
    with server(folder, port):
        store = open_store(f"http://127.0.0.1:{port}")
        experiments = [store.client.create_experiment(uuid.uuid4().hex) for _ in range(2)]
        ours, fluent = take_turns(
            ROUNDS,
            [
                _side(partial(_ours, store, experiments[0]), SERVED),
                _side(partial(write_fluently, store.uri, experiments[1]), FLUENT),
            ],
        )
    yield _result("http", ours, fluent, f"{ONE_BY_ONE}, both sides through the same `mlflow server`")


def _postgresql() -> list[Result]:
    with TemporaryDirectory() as folder, postgres() as uri:
        store = open_store(uri)
        ours, client = take_turns(
            ROUNDS,
            [
                _side(partial(_ours, store, _experiment(store.client, Path(folder))), OURS),
                _side(partial(_client, store.client, _experiment(store.client, Path(folder))), CLIENT),
            ],
        )
        forget_database(uri)
    return [_result("postgresql", ours, client, BATCHED)]


def _ours(store: Store, experiment_id: str, runs: Runs) -> None:
    store.write(experiment_id, runs)


def _client(client: MlflowClient, experiment_id: str, runs: Runs) -> None:
    for run in runs:
        run_id = client.create_run(experiment_id, run_name=run.name, tags=run.all_tags).info.run_id
        _put(run, partial(client.log_artifacts, run_id))
        if run.dataset is not None:
            client.log_inputs(run_id, [run.dataset])
        client.log_batch(run_id, run.metrics, [Param(*param) for param in run.params.items()])
        client.set_terminated(run_id)


def write_fluently(uri: str, experiment_id: str, runs: Runs) -> None:
    """Write runs by MLflow's fluent API, with one call per metric and epoch."""
    mlflow.set_tracking_uri(uri)
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for run in runs:
        with mlflow.start_run(experiment_id=experiment_id, run_name=run.name, tags=run.all_tags):
            mlflow.log_params(dict(run.params))
            for metric in run.metrics:
                mlflow.log_metric(metric.key, metric.value, step=metric.step)
            if run.dataset is not None:
                dataset = run.dataset.dataset
                metadata = MetaDataset(CodeDatasetSource({}), dataset.name, dataset.digest)
                mlflow.log_input(metadata, "training")
            _put(run, mlflow.log_artifacts)


def _put(run: FinishedRun, log_artifacts: Callable[[str], None]) -> None:
    if run.files:
        with TemporaryDirectory() as folder:
            write_files(folder, run.files)
            log_artifacts(folder)


def _side(write: Callable[[Runs], None], count: int, files: dict[str, bytes] | None = None) -> Side:
    """Return a side that writes `count` runs, with a new parent at each call, hence with new ids."""
    runs = [made_run(trial, place, files or {}) for place, trial in enumerate(TRIALS[:count])]

    def call() -> None:
        parent = uuid.uuid4().hex
        write([replace(run, parent=parent) for run in runs])

    return Side(call, count)


def _experiment(client: MlflowClient, folder: Path) -> str:
    return str(client.create_experiment(uuid.uuid4().hex, Path(folder, "artifacts").as_uri()))


def _result(name: str, ours: Floats, peer: Floats, note: str) -> Result:
    return Result(f"tracking/{name}", 1 / ours, 1 / peer, "runs/s", f"the peer: {note}", True)


def made_run(trial: Trial, place: int, files: Mapping[str, bytes]) -> FinishedRun:
    """Return a run of a trial with made-up metrics."""
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
            "regress.code": "0123456789abcdef",
            "note": "benchmark",
        },
        params=trial_params(trial),
        metrics=list(_metrics(trial.epochs, now)),
        dataset=DatasetInput(
            Dataset(str(trial.contamination), "0123456789abcdef", "code", '{"tags": {}}'),
            [InputTag(MLFLOW_DATASET_CONTEXT, "training")],
        ),
        files=files,
        position=place,
    )


def _metrics(epochs: int, now: int) -> Iterator[Metric]:
    for i in range(12):
        yield Metric(f"final_{i}", 1.0, now, epochs)
    for name in history_names():
        for epoch in range(1, epochs + 1):
            yield Metric(name, 1 / epoch, now, epoch)
