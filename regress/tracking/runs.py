"""A finished run as a value, and how it is written through MLflow's client."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

import tenacity
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Metric, Param

from regress.tracking.mlflow_internals import MLFLOW_PARENT_RUN_ID

KEY = "regress.key"  # the tag that tells a child run from its siblings
ENTRIES_PER_REQUEST = 1000  # MLflow's limit on params, tags and metrics together
_CONCURRENT_RUNS = 8  # enough to keep a server with one worker busy


@dataclass(frozen=True)
class FinishedRun:
    """A complete child run: nothing is added to it later."""

    name: str
    key: str  # unique among the siblings
    parent: str
    user: str
    start_time: int  # milliseconds since 1970
    end_time: int  # milliseconds since 1970
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[Metric]
    dataset: DatasetInput | None
    files: Mapping[str, bytes]
    position: int = 0  # among the siblings

    @cached_property
    def run_id(self) -> str:
        """A hash of (parent, key), for stores that let the writer choose: no run can be written twice.

        It starts with a hash of the parent and the position, so that siblings written together are
        neighbours in every index of the store; random ids would each change another page of it.
        """
        parent_hash, run_hash = (
            sha256(text.encode()).hexdigest() for text in (self.parent, f"{self.parent}/{self.key}")
        )
        return f"{parent_hash[:8]}{self.position:06x}{run_hash}"[:32]

    @property
    def all_tags(self) -> dict[str, str]:
        return {MLFLOW_PARENT_RUN_ID: self.parent, KEY: self.key, **self.tags}


def write_by_client(client: MlflowClient, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
    """Write runs request by request, eight runs at a time.

    Raises
    ------
    MlflowException
        The store refuses a run or cannot be reached; runs written before that stay.
    """
    with ThreadPoolExecutor(_CONCURRENT_RUNS) as pool:
        list(pool.map(partial(_write, client, experiment_id), runs))


def _write(client: MlflowClient, experiment_id: str, run: FinishedRun) -> None:
    """Write artifacts first and the status FINISHED last: a FINISHED run is complete."""
    run_id = client.create_run(
        experiment_id, start_time=run.start_time, run_name=run.name, tags=run.all_tags
    ).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        write_files(folder, run.files)
        client.log_artifacts(run_id, folder)
    if run.dataset is not None:
        _log_input(client, run_id, run.dataset)
    params = [Param(name, value) for name, value in run.params.items()]
    first = ENTRIES_PER_REQUEST - len(params)  # metrics that fit into the request with the params
    client.log_batch(run_id, params=params, metrics=run.metrics[:first])
    for start in range(first, len(run.metrics), ENTRIES_PER_REQUEST):
        client.log_batch(run_id, metrics=run.metrics[start : start + ENTRIES_PER_REQUEST])
    client.set_terminated(run_id, "FINISHED", end_time=run.end_time)


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=r"(?s).*IntegrityError"),
    wait=tenacity.wait_random(0, 0.1),
    stop=tenacity.stop_after_attempt(10),
    reraise=True,
)
def _log_input(client: MlflowClient, run_id: str, dataset: DatasetInput) -> None:
    """Log a data set; repeat where two runs insert the same new one at once and MLflow refuses one."""
    client.log_inputs(run_id, [dataset])


def write_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write `files`, by their paths inside `folder`."""
    for name, content in files.items():
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
