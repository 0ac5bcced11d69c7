"""A vector of WIDTH numbers as a type of Numba, which LLVM maps to whatever registers there are.

Loops over single numbers would leave it to the compiler's heuristics whether they become vector
instructions; here every operation is one on vectors. LLVM fuses no multiplication with an addition unless
it is told that it may, and nothing here tells it so.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from regress.kernels import WIDTH


class Vector(types.Type):  # type: ignore[misc]
    """The type of a vector of WIDTH numbers of `dtype`."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype}, {WIDTH})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, _llvm_type(vector.dtype))


def _llvm_type(dtype: types.Float) -> ir.VectorType:
    return ir.VectorType(ir.FloatType() if dtype == types.float32 else ir.DoubleType(), WIDTH)


@intrinsic
def load(typing: Any, array: Any, start: Any) -> Any:
    """array[start : start + WIDTH] of a contiguous one-dimensional array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, signature, arguments), align=_alignment(array))

    return Vector(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """Writes `vector` to array[start : start + WIDTH] of a contiguous one-dimensional array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        builder.store(arguments[2], address, align=_alignment(array))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def zeros(typing: Any, like: Any) -> Any:
    """A vector of zeros in the dtype of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_llvm_type(like.dtype), [0.0] * WIDTH)

    return Vector(like.dtype)(like), generate


@intrinsic
def pick(typing: Any, array: Any, places: Any, shift: Any) -> Any:
    """array[places + shift] for WIDTH places, both arrays contiguous and one-dimensional."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        where = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        shifted = builder.gep(source, [arguments[2]], inbounds=True)
        vector = ir.Constant(_llvm_type(array.dtype), ir.Undefined)
        for slot in range(WIDTH):
            place = builder.load(builder.gep(where, [ir.IntType(64)(slot)], inbounds=True))
            number = builder.load(builder.gep(shifted, [place], inbounds=True))
            vector = builder.insert_element(vector, number, ir.IntType(32)(slot))
        return vector

    return Vector(array.dtype)(array, places, types.intp), generate


@intrinsic
def where_number(typing: Any, test: Any, chosen: Any, other: Any) -> Any:
    """Slot by slot `chosen` where `test` is a number, `other` where it is nan."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        is_number = builder.fcmp_ordered("ord", arguments[0], arguments[0])
        return builder.select(is_number, arguments[1], arguments[2])

    return chosen(test, chosen, other), generate


@intrinsic
def any_new_nan(typing: Any, now: Any, before: Any) -> Any:
    """Whether a slot of `now` is nan that is a number in `before`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        is_nan = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        was_number = builder.fcmp_ordered("ord", arguments[1], arguments[1])
        mask = builder.bitcast(builder.and_(is_nan, was_number), ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", mask, ir.IntType(WIDTH)(0))

    return types.boolean(now, before), generate


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = signature.args[0]
    data = context.make_array(array)(context, builder, arguments[0]).data
    first = builder.gep(data, [arguments[1]], inbounds=True)
    return builder.bitcast(first, _llvm_type(array.dtype).as_pointer())


def _alignment(array: Any) -> int:
    """Bytes: a vector may start at any number of an array."""
    return int(array.dtype.bitwidth) // 8


def _arithmetic(operation: str) -> Any:
    @intrinsic
    def compute(typing: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments)

        return one(one, other), generate

    return compute


def _overload(symbol: Callable[..., Any], operation: str) -> None:
    compute = _arithmetic(operation)

    @overload(symbol)
    def implement(one, other):  # arguments named as in the function that it returns
        if isinstance(one, Vector) and one == other:
            return lambda one, other: compute(one, other)  # noqa: PLW0108  # Numba wants a function
        return None


_overload(operator.add, "fadd")
_overload(operator.iadd, "fadd")
_overload(operator.sub, "fsub")
_overload(operator.mul, "fmul")
_overload(operator.truediv, "fdiv")
