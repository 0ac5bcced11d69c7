"""A trial: one point of a study's grid, validated."""

import json
from collections.abc import Mapping
from functools import cached_property, partial
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from regress.contaminations import CONTAMINATIONS, Contamination
from regress.fleet.schedule import Reduction, Tail
from regress.losses import LOSSES, Loss
from regress.orders import ORDERS, Order
from regress.problems import PROBLEMS, Linear, Problem
from regress.values.text import parse, schema_pattern

Dtype = Literal["float32", "float64"]


def _text_field(kind: str, table: Any) -> tuple[PlainValidator, PlainSerializer, WithJsonSchema]:
    """Return how a field is read from one line of text, written as text, and described in JSON schemas."""
    return (
        PlainValidator(partial(parse, kind=kind, table=table)),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "pattern": schema_pattern(table)}),
    )


def _refuse_booleans(value: object) -> object:
    # Pydantic converts true to 1.
    if isinstance(value, bool):
        raise ValueError(f"expected a number, not {str(value).lower()}")
    return value


_NotBoolean = BeforeValidator(_refuse_booleans)

ProblemLine = Annotated[Problem, *_text_field("problem", PROBLEMS)]
ContaminationLine = Annotated[Contamination, *_text_field("contaminations", CONTAMINATIONS)]
LossLine = Annotated[Loss, *_text_field("losses", LOSSES)]
OrderLine = Annotated[Order, *_text_field("orders", ORDERS)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), _NotBoolean]
Scale = Annotated[float, Field(ge=0, allow_inf_nan=False), _NotBoolean]
Count = Annotated[int, Field(ge=1), _NotBoolean]
Seed = Annotated[int, Field(ge=0, lt=2**64), _NotBoolean]


class Training(BaseModel):
    """The fields that a study shares with its trials."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    problem: ProblemLine = Field(
        Linear(),
        description="The data and the model, e.g. linear(w=[2.0, -3.4], b=4.2, noise=0.01)"
        ' or table(path="my.csv", target="y").',
        json_schema_extra={"default": str(Linear())},
    )
    epochs: Count = Field(10, description="Passes over the training rows.")
    reduction: Reduction = Field("mean", description="How a batch's losses are reduced.")
    tail: Tail = Field(
        "weight",
        description="A last batch of fewer rows: weight its step by its share, keep its mean as it"
        " is, or drop it.",
    )
    replicates: Count = Field(16, description="Repetitions with other draws of data, order and init.")
    seed: Seed = Field(0, description="Every stream of random numbers is keyed by it.")
    dtype: Dtype = Field("float32", description="What the models train in; metrics are float64.")
    tolerance: Positive = Field(
        0.05, description="epochs_to_tolerance counts until the parameter error is this small."
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, without validation and without cached properties."""
        copy = super().model_copy(update=update, deep=deep)
        for name in set(vars(copy)) - set(type(self).model_fields):
            del vars(copy)[name]
        return copy


class Trial(Training):
    """One point of a study's grid; its results depend on these fields only."""

    contamination: ContaminationLine
    loss: LossLine
    lr: Positive
    sigma: Scale
    order: OrderLine
    batch_size: Count

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the fields; a table is identified by its content."""
        identity = self.model_dump(mode="json") | {"problem": self.problem.identity}
        if package := LOSSES.package(self.loss.name):
            identity["loss_package"] = package
        return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def is_portable(self) -> bool:
        """Whether its results have the same bits on every processor; see docs/reproduce.md."""
        has_kernel = self.loss.scalar_form is not None
        return self.problem.is_portable and self.contamination.is_portable and has_kernel

    @property
    def label(self) -> str:
        """A name for people."""
        return (
            f"{self.loss} lr={self.lr:g} sigma={self.sigma:g} {self.order} {self.contamination}"
            f" batch={self.batch_size}"
        )
