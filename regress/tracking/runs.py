"""A finished run as a value, and how one is written through MLflow's client."""

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
ENTRIES_A_REQUEST = 1000  # MLflow's limit
_AT_ONCE = 8  # runs under way: a server of one worker is busy by then


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
    place: int = 0  # among its siblings

    @cached_property
    def run_id(self) -> str:
        """A hash of (parent, key), where the store lets us choose: the same run cannot be there twice.

        It begins with the parent's own hash and the place. Siblings written together then stand together
        in every index of the store; at random places each would change a page of its own.
        """
        family, own = (
            sha256(text.encode()).hexdigest() for text in (self.parent, f"{self.parent}/{self.key}")
        )
        return f"{family[:8]}{self.place:06x}{own}"[:32]

    @property
    def all_tags(self) -> dict[str, str]:
        return {MLFLOW_PARENT_RUN_ID: self.parent, KEY: self.key, **self.tags}


def write_by_client(client: MlflowClient, experiment_id: str, runs: Sequence[FinishedRun]) -> None:
    """Writes runs request by request, eight at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(partial(_write, client, experiment_id), runs))


def _write(client: MlflowClient, experiment_id: str, run: FinishedRun) -> None:
    """The artifacts first, the status FINISHED last: a run that is FINISHED is complete."""
    run_id = client.create_run(
        experiment_id, start_time=run.start_time, run_name=run.name, tags=run.all_tags
    ).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        put(folder, run.files)
        client.log_artifacts(run_id, folder)
    if run.dataset is not None:
        _log_input(client, run_id, run.dataset)
    params = [Param(name, value) for name, value in run.params.items()]
    # A request takes 1,000 entries, params and tags included.
    room = ENTRIES_A_REQUEST - len(params)
    client.log_batch(run_id, params=params, metrics=run.metrics[:room])
    for start in range(room, len(run.metrics), ENTRIES_A_REQUEST):
        client.log_batch(run_id, metrics=run.metrics[start : start + ENTRIES_A_REQUEST])
    client.set_terminated(run_id, "FINISHED", end_time=run.end_time)


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=r"(?s).*IntegrityError"),
    wait=tenacity.wait_random(0, 0.1),
    stop=tenacity.stop_after_attempt(10),
    reraise=True,
)
def _log_input(client: MlflowClient, run_id: str, dataset: DatasetInput) -> None:
    """Of two runs that bring a new data set at once MLflow refuses one; the next time it is known."""
    client.log_inputs(run_id, [dataset])


def put(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Writes `files` below `folder`."""
    for name, content in files.items():
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
