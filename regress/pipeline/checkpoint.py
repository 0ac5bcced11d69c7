"""Checkpoints: trained shards, kept on disk until their execution is finished, for resuming."""

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from regress.errors import ServiceLost
from regress.home import home
from regress.metrics.evaluate import ShardMetrics
from regress.study.shards import Shard

_DICTS = ("histories", "finals", "of_trials")
_ARRAYS = ("params", "digests", "diverged", "first_nonfinite_step")


@dataclass(frozen=True)
class CheckpointFolder:
    """One file for each shard of one execution; a file exists as a whole or not at all."""

    folder: Path

    def save(self, shard: Shard, metrics: ShardMetrics) -> None:
        """Write a shard's metrics; raise ServiceLost where the disk refuses them."""
        try:
            self._write(shard, metrics)
        except OSError as error:
            raise ServiceLost(f"cannot keep what was trained in {self.folder}: {error.strerror}") from error

    def _write(self, shard: Shard, metrics: ShardMetrics) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(shard)
        draft = file.with_suffix(".draft")
        arrays = {name: getattr(metrics, name) for name in _ARRAYS}
        for group in _DICTS:
            arrays |= {f"{group}/{name}": values for name, values in getattr(metrics, group).items()}
        with draft.open("wb") as stream:
            np.savez(stream, steps_per_epoch=metrics.steps_per_epoch, **arrays)
        draft.rename(file)

    def load(self, shard: Shard) -> ShardMetrics | None:
        """Return a shard's metrics; None where they are missing or damaged."""
        try:
            with np.load(self._file(shard)) as content:
                arrays = {name: content[name] for name in content.files}
            groups = {
                group: {
                    name.removeprefix(f"{group}/"): values
                    for name, values in arrays.items()
                    if name.startswith(f"{group}/")
                }
                for group in _DICTS
            }
            fields: dict[str, Any] = {name: arrays[name] for name in _ARRAYS} | groups
            return ShardMetrics(**fields, steps_per_epoch=int(arrays["steps_per_epoch"]))
        except Exception:  # each kind of damage raises its own
            return None

    def clear(self) -> None:
        """Delete the execution's checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, shard: Shard) -> Path:
        digests = "\n".join(trial.digest for trial in shard.trials)
        return self.folder / f"{sha256(digests.encode()).hexdigest()[:16]}.npz"


def checkpoint_folder(run_id: str) -> CheckpointFolder:
    """Return the checkpoints of an execution, in the folder `REGRESS_HOME`."""
    return CheckpointFolder(home() / "checkpoints" / run_id)
