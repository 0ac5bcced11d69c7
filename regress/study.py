"""A study spans a grid; a trial is one point of it. Both are validated here, once, at the boundary."""

import json
import warnings
from functools import cached_property, partial
from hashlib import sha256
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from regress.contamination import CONTAMINATIONS, Clean, Contamination
from regress.errors import InputError
from regress.fleet.schedule import Reduction, Tail
from regress.losses import L2, LOSSES, Loss
from regress.orders import ORDERS, Order, Shuffled
from regress.problems import PROBLEMS, Linear, Problem, Table
from regress.problems.affine import Affine
from regress.text import Form, parse, pattern

Dtype = Literal["float32", "float64"]


def _line(kind: str, table: Any) -> tuple[PlainValidator, PlainSerializer, WithJsonSchema]:
    """How a value stands in a study: one line of text outside, the value inside."""
    return (
        PlainValidator(partial(parse, kind=kind, table=table)),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "pattern": pattern(table)}),
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


class _Training(BaseModel):
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


class Trial(_Training):
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


def _is_table(fields: dict[str, Any]) -> bool:
    return isinstance(fields.get("problem"), Table)


# Every abstract base class has a method `register`, which no study needs.
warnings.filterwarnings("ignore", 'Field name "register" in "Study" shadows', UserWarning)


class Study(_Training):
    """One problem, and the grid contamination x loss x lr x sigma x order x batch size over it."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        max_length=80,
        description="Also the name of the MLflow experiment: lower case, digits, . _ and -.",
    )
    contaminations: tuple[ContaminationLine, ...] = Field(
        (Clean(),),
        min_length=1,
        description="What is done to the training rows, e.g. vertical(fraction=0.1, shift=10.0).",
        json_schema_extra={"default": ["clean"]},
    )
    losses: tuple[LossLine, ...] = Field(
        (L2(),),
        min_length=1,
        description="Losses, e.g. l2, l1, huber(delta=1.0).",
        json_schema_extra={"default": ["l2"]},
    )
    lrs: tuple[Positive, ...] = Field((0.03,), min_length=1, description="Learning rates.")
    sigmas: tuple[Scale, ...] = Field((0.01,), min_length=1, description="Scales of the initial weights.")
    orders: tuple[OrderLine, ...] = Field(
        (Shuffled(),),
        min_length=1,
        description="Orders of the rows, e.g. shuffled, easy-to-hard, signed(surrogate=oracle).",
        json_schema_extra={"default": ["shuffled"]},
    )
    batch_sizes: tuple[Count, ...] = Field((32,), min_length=1, description="Rows a step.")
    register: bool = Field(
        default_factory=_is_table,
        description="Refit the winner on all rows and put it into MLflow's model registry; where nothing"
        " is said, done for a table only.",
        json_schema_extra={"default": False},
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        for field in ("contaminations", "losses", "lrs", "sigmas", "orders", "batch_sizes"):
            _refuse_twice(field, getattr(self, field))
        rows = self.problem.train_rows
        for size in self.batch_sizes:
            if size > rows:
                raise InputError(f"batch_sizes: {size} is more than the {rows} training rows")
        for sigma in self.sigmas:
            if reason := self.problem.refuse_start(sigma):
                raise InputError(f"sigmas: {reason}")
        for contamination in self.contaminations:
            _refuse("contaminations", contamination, contamination.refuse(self.problem))
        for loss in self.losses:
            _refuse("losses", loss, _refuse_loss(loss, self.problem))
        for order in self.orders:
            _refuse("orders", order, order.refuse(self.problem))
        if self.register and not isinstance(self.problem.model, Affine):
            raise InputError(
                f"register: a {self.problem.name} is no linear model of columns, expected false"
                " or the problem linear, ohm or table"
            )
        return self

    def trials(self) -> tuple[Trial, ...]:
        """The points of the grid."""
        shared = {field: getattr(self, field) for field in _Training.model_fields}
        return tuple(
            Trial(
                contamination=contamination,
                loss=loss,
                lr=lr,
                sigma=sigma,
                order=order,
                batch_size=batch_size,
                **shared,
            )
            for contamination, order, batch_size, loss, lr, sigma in product(
                self.contaminations,
                self.orders,
                self.batch_sizes,
                self.losses,
                self.lrs,
                self.sigmas,
            )
        )

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of its trials' digests, whatever their order."""
        trials = sorted(trial.digest for trial in self.trials())
        return sha256("\n".join(trials).encode()).hexdigest()[:16]


def _refuse(field: str, value: Form, reason: str | None) -> None:
    if reason is not None:
        raise InputError(f"{field}: {value} {reason}")


def _refuse_loss(loss: Loss, problem: Problem) -> str | None:
    if loss.is_scaled and not isinstance(problem.model, Affine):
        return (
            f"needs a linear model for its pilot fit, which a {problem.name} does not have; use scale=raw"
        )
    return None


def _refuse_twice(field: str, values: tuple[Any, ...]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{field}: {value} stands there twice")
