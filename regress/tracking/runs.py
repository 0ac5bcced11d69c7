"""A finished run as a value, and how one is written through MLflow's client."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

METRICS_A_REQUEST = 1000  # MLflow's limit


@dataclass(frozen=True)
class FinishedRun:
    """A child run, complete: nothing is added to it later."""

    name: str
    key: str  # what tells it from its siblings
    parent: str
    user: str
    start_time: int  # milliseconds since 1970
    end_time: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[Metric]
    dataset: DatasetInput | None
    files: Mapping[str, bytes]

    @cached_property
    def run_id(self) -> str:
        """A hash of (parent, key), where the store lets us choose: the same run cannot be there twice."""
        return sha256(f"{self.parent}/{self.key}".encode()).hexdigest()[:32]

    @property
    def all_tags(self) -> dict[str, str]:
        return {MLFLOW_PARENT_RUN_ID: self.parent, **self.tags}


def write_by_client(client: MlflowClient, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
    """Writes runs request by request: the artifacts first, the status FINISHED last."""
    for run in runs:
        run_id = client.create_run(
            experiment_id, start_time=run.start_time, run_name=run.name, tags=run.all_tags
        ).info.run_id
        with tempfile.TemporaryDirectory() as folder:
            put(folder, run.files)
            client.log_artifacts(run_id, folder)
        if run.dataset is not None:
            client.log_inputs(run_id, [run.dataset])
        client.log_batch(run_id, params=[Param(k, v) for k, v in run.params.items()])
        for first in range(0, len(run.metrics), METRICS_A_REQUEST):
            client.log_batch(run_id, metrics=run.metrics[first : first + METRICS_A_REQUEST])
        client.set_terminated(run_id, "FINISHED", end_time=run.end_time)


def put(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Writes `files` below `folder`."""
    for name, content in files.items():
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
