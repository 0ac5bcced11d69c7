"""A study: one problem, and the grid of trials over it."""

import warnings
from functools import cached_property
from hashlib import sha256
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, model_validator

from regress.contaminations import Clean
from regress.errors import InputError
from regress.losses import L2, Loss
from regress.orders import Shuffled
from regress.problems import Problem
from regress.study.errors import explain_first_error
from regress.study.trial import (
    ContaminationLine,
    Count,
    LossLine,
    OrderLine,
    Positive,
    Scale,
    Training,
    Trial,
)
from regress.values.text import Form


def _registers_model(fields: dict[str, Any]) -> bool:
    return bool(fields["problem"].registers_model) if "problem" in fields else False


with warnings.catch_warnings():
    # Every abstract base class has a method `register`, which no study needs.
    warnings.filterwarnings("ignore", 'Field name "register" in "Study" shadows', UserWarning)

    class Study(Training):
        """One problem, and the grid contamination x loss x lr x sigma x order x batch size over it.

        Values are objects, such as `Huber(delta=1.0)`, or their text.

        Raises
        ------
        InputError
            A field is unknown or invalid, or fields do not fit together.

        Examples
        --------
        >>> from regress import Study
        >>> study = Study(losses=["l2", "huber(delta=1)"], lrs=[0.01, 0.1], sigmas=[0.01])
        >>> len(study.trials)
        4
        >>> Study(losses=["hubr"])
        Traceback (most recent call last):
        ...
        regress.errors.InputError: losses: 'hubr' is unknown; did you mean huber?
        """

        name: str = Field(
            "study",
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
        sigmas: tuple[Scale, ...] = Field(
            (0.01,), min_length=1, description="Scales of the initial weights."
        )
        orders: tuple[OrderLine, ...] = Field(
            (Shuffled(),),
            min_length=1,
            description="Orders of the rows, e.g. shuffled, easy-to-hard, signed(surrogate=oracle).",
            json_schema_extra={"default": ["shuffled"]},
        )
        batch_sizes: tuple[Count, ...] = Field((32,), min_length=1, description="Rows a step.")
        register: bool = Field(
            default_factory=_registers_model,
            description="Refit the best trial on all rows and register it as a model in MLflow; by default"
            " only for a table.",
            json_schema_extra={"default": False},
        )

        if not TYPE_CHECKING:  # type checkers derive the parameters from the fields

            def __init__(self, /, **fields: Any) -> None:
                try:
                    super().__init__(**fields)
                except ValidationError as error:
                    raise InputError(explain_first_error(error, Study.model_fields)) from None

            # Pydantic's own validation, of a nested study say, goes on without this method.
            __init__.__pydantic_base_init__ = True

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
            if self.register and not self.problem.is_affine:
                raise InputError(
                    f"register: a {self.problem.name} is no linear model of columns, expected false"
                    " or the problem linear, ohm or table"
                )
            return self

        @cached_property
        def trials(self) -> tuple[Trial, ...]:
            """The points of the grid."""
            common = {field: getattr(self, field) for field in Training.model_fields}
            return tuple(
                Trial(
                    contamination=contamination,
                    loss=loss,
                    lr=lr,
                    sigma=sigma,
                    order=order,
                    batch_size=batch_size,
                    **common,
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

        @cached_property
        def digest(self) -> str:
            """Sixteen hexadecimal digits that depend on its trials, not on their order."""
            trials = sorted(trial.digest for trial in self.trials)
            return sha256("\n".join(trials).encode()).hexdigest()[:16]


def _refuse(field: str, value: Form, reason: str | None) -> None:
    if reason is not None:
        raise InputError(f"{field}: {value} {reason}")


def _refuse_loss(loss: Loss, problem: Problem) -> str | None:
    if loss.is_scaled and not problem.is_affine:
        return (
            f"needs a linear model for its pilot fit, which a {problem.name} does not have; use scale=raw"
        )
    return None


def _refuse_twice(field: str, values: tuple[Any, ...]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{field}: {value} appears twice")
