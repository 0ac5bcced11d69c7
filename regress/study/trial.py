"""A trial: one point of a study's grid."""

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


def _line(kind: str, table: Any) -> tuple[PlainValidator, PlainSerializer, WithJsonSchema]:
    """How a value stands in a study: one line of text outside, the value inside."""
    return (
        PlainValidator(partial(parse, kind=kind, table=table)),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "pattern": schema_pattern(table)}),
    )


def _not_a_switch(value: object) -> object:
    # pydantic would take true for 1
    if isinstance(value, bool):
        raise ValueError(f"expected a number, not {str(value).lower()}")
    return value


_NotASwitch = BeforeValidator(_not_a_switch)

ProblemLine = Annotated[Problem, *_line("problem", PROBLEMS)]
ContaminationLine = Annotated[Contamination, *_line("contaminations", CONTAMINATIONS)]
LossLine = Annotated[Loss, *_line("losses", LOSSES)]
OrderLine = Annotated[Order, *_line("orders", ORDERS)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), _NotASwitch]
Scale = Annotated[float, Field(ge=0, allow_inf_nan=False), _NotASwitch]
Count = Annotated[int, Field(ge=1), _NotASwitch]
Seed = Annotated[int, Field(ge=0, lt=2**64), _NotASwitch]


class Training(BaseModel):
    """What a study and its trials have in common."""

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
    """One point of a study's grid. Its numbers depend on nothing but these fields."""

    contamination: ContaminationLine
    loss: LossLine
    lr: Positive
    sigma: Scale
    order: OrderLine
    batch_size: Count

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of what determines the numbers; a table by its content."""
        identity = self.model_dump(mode="json") | {"problem": self.problem.identity}
        if package := LOSSES.package(self.loss.name):
            identity["loss_package"] = package
        return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def is_portable(self) -> bool:
        """Whether its numbers have the same bits on every processor: see docs/reproduce.md."""
        has_kernel = self.loss.scalar_form is not None
        return self.problem.is_portable and self.contamination.is_portable and has_kernel

    @property
    def label(self) -> str:
        return (
            f"{self.loss} lr={self.lr:g} sigma={self.sigma:g} {self.order} {self.contamination}"
            f" batch={self.batch_size}"
        )
