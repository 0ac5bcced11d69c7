"""What was trained, on this machine's disk until its execution is finished: resuming trains it no more."""

import shutil
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

import numpy as np

from regress.errors import ServiceLost
from regress.metrics.evaluate import Outcome
from regress.study.shards import Shard


@dataclass(frozen=True)
class CheckpointFolder:
    """One file for each shard of one execution; a file is there whole or not at all."""

    folder: Path

    def put(self, shard: Shard, outcome: Outcome) -> None:
        """Keeps what `shard` came to; raises ServiceLost where the disk does not take it."""
        try:
            self._write(shard, outcome)
        except OSError as error:
            raise ServiceLost(f"cannot keep what was trained in {self.folder}: {error.strerror}") from error

    def _write(self, shard: Shard, outcome: Outcome) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(shard)
        draft = file.with_suffix(".draft")
        arrays = {field.name: getattr(outcome, field.name) for field in fields(outcome)}
        with draft.open("wb") as stream:
            np.savez(stream, **{name: value for name, value in arrays.items() if value is not None})
        draft.rename(file)

    def get(self, shard: Shard) -> Outcome | None:
        """What `shard` came to; None where it is not there, or not readable."""
        try:
            with np.load(self._file(shard)) as arrays:
                kept = {name: arrays[name] for name in arrays.files}
            steps = int(kept.pop("steps_per_epoch"))
            return Outcome(**{"val_median_abs_residual": None} | kept, steps_per_epoch=steps)
        except Exception:  # each kind of damage raises its own
            return None

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, shard: Shard) -> Path:
        digests = "\n".join(trial.digest for trial in shard.trials)
        return self.folder / f"{sha256(digests.encode()).hexdigest()[:16]}.npz"
