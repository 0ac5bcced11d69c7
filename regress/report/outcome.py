"""The outcome of a study as typed records, the content of `regress run --json` and comparison.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from regress.comparison import BestRow, Comparison, Diverged, OrderEffect, RelativeEfficiency
from regress.estimators.published import PublishedCheck
from regress.study import Study

T = TypeVar("T")


@dataclass(frozen=True)
class PublishedRow:
    """A published fit and the same fit by a library."""

    fit: str
    parameters: tuple[str, ...]
    source: str
    published: tuple[float, ...]
    published_scale: float | None
    library: str
    here: tuple[float, ...]
    scale: float | None
    deviation: float
    tolerance: float
    agrees: bool

    @classmethod
    def of(cls, check: PublishedCheck) -> "PublishedRow":
        """Return the check as text and numbers."""
        return _row(cls, check.as_json())


@dataclass(frozen=True)
class Outcome:
    """The outcome of a study; None (null in JSON) stands for infinity."""

    study: str
    trials: int
    replicates: int
    lanes: int  # models: trials x replicates
    diverged_trials: int
    diverged: tuple[Diverged, ...]
    best: tuple[BestRow, ...]
    orders: tuple[OrderEffect, ...]
    references: tuple[RelativeEfficiency, ...]
    published: tuple[PublishedRow, ...]

    @classmethod
    def of(
        cls,
        study: Study,
        comparison: Comparison,
        efficiencies: Sequence[RelativeEfficiency] = (),
        published: Sequence[PublishedRow] = (),
    ) -> "Outcome":
        """Return the outcome of a study whose trials have been compared."""
        return cls(
            study=study.name,
            trials=len(study.trials),
            replicates=study.replicates,
            lanes=len(study.trials) * study.replicates,
            diverged_trials=comparison.diverged_trials,
            diverged=comparison.diverged,
            best=tuple(best.row for best in comparison.best),
            orders=comparison.orders,
            references=tuple(efficiencies),
            published=tuple(published),
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Outcome":
        """Return the recorded outcome; fields that an earlier version did not record are empty."""
        return cls(
            study=content["study"],
            trials=content.get("trials", 0),
            replicates=content.get("replicates", 0),
            lanes=content.get("lanes", 0),
            diverged_trials=content["diverged_trials"],
            diverged=_rows(Diverged, content.get("diverged", ())),
            best=_rows(BestRow, content["best"]),
            orders=_rows(OrderEffect, content["orders"]),
            references=_rows(RelativeEfficiency, content.get("references", ())),
            published=_rows(PublishedRow, content.get("published", ())),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the content of comparison.json; `to_json` replaces its infinite numbers."""
        content: dict[str, Any] = _as_lists(asdict(self))
        if not self.published:
            del content["published"]
        return content


def _as_lists(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _as_lists(value) for key, value in content.items()}
    return [_as_lists(value) for value in content] if isinstance(content, tuple | list) else content


def _rows(cls: type[T], rows: Sequence[Mapping[str, Any]]) -> tuple[T, ...]:
    return tuple(_row(cls, row) for row in rows)


def _row(cls: type[T], row: Mapping[str, Any]) -> T:
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # each is a dataclass
    values = {name: row[name] for name in names}
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
