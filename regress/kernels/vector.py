"""A Numba type for a vector of WIDTH numbers, which LLVM maps to the processor's vector registers.

Whether a loop over single numbers becomes vector instructions depends on the compiler's heuristics; these
operations are vector instructions always. LLVM fuses a multiplication with an addition only where flags
allow it, and no flags are set here.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from regress.kernels import WIDTH


class Vector(types.Type):  # type: ignore[misc]
    """The Numba type of a vector of WIDTH numbers of `dtype`."""

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
    """Return array[start : start + WIDTH] of a contiguous one-dimensional array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, signature, arguments), align=_alignment(array))

    return Vector(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """Write `vector` to array[start : start + WIDTH] of a contiguous one-dimensional array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        builder.store(arguments[2], address, align=_alignment(array))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def zeros(typing: Any, like: Any) -> Any:
    """Return a vector of zeros of the dtype of the array `like`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_llvm_type(like.dtype), [0.0] * WIDTH)

    return Vector(like.dtype)(like), generate


@intrinsic
def gather(typing: Any, array: Any, indices: Any, shift: Any) -> Any:
    """Return array[indices + shift] for WIDTH indices, both arrays contiguous and one-dimensional."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        positions = context.make_array(signature.args[1])(context, builder, arguments[1]).data
        shifted = builder.gep(source, [arguments[2]], inbounds=True)
        vector = ir.Constant(_llvm_type(array.dtype), ir.Undefined)
        for slot in range(WIDTH):
            index = builder.load(builder.gep(positions, [ir.IntType(64)(slot)], inbounds=True))
            number = builder.load(builder.gep(shifted, [index], inbounds=True))
            vector = builder.insert_element(vector, number, ir.IntType(32)(slot))
        return vector

    return Vector(array.dtype)(array, indices, types.intp), generate


@intrinsic
def select_unless_nan(typing: Any, test: Any, values: Any, fallback: Any) -> Any:
    """Return, slot by slot, `fallback` where `test` is nan, else `values`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        is_number = builder.fcmp_ordered("ord", arguments[0], arguments[0])
        return builder.select(is_number, arguments[1], arguments[2])

    return values(test, values, fallback), generate


@intrinsic
def any_new_nan(typing: Any, now: Any, before: Any) -> Any:
    """Return whether any slot is nan in `now` but not in `before`."""

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
    """Return the alignment in bytes of one element, since a vector may start at any element of an array."""
    return int(array.dtype.bitwidth) // 8


def _make_operation(instruction: str) -> Any:
    """Return an intrinsic that applies a binary instruction of LLVM to two vectors."""

    @intrinsic
    def compute(typing: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return left(left, right), generate

    return compute


def _overload(operator_function: Callable[..., Any], instruction: str) -> None:
    """Define an operator of Python for two vectors of the same type."""
    compute = _make_operation(instruction)

    @overload(operator_function)
    def implement(left, right):  # Numba requires the argument names of the returned function
        if isinstance(left, Vector) and left == right:
            return lambda left, right: compute(left, right)  # noqa: PLW0108  # Numba requires a function
        return None


_overload(operator.add, "fadd")
_overload(operator.iadd, "fadd")
_overload(operator.sub, "fsub")
_overload(operator.mul, "fmul")
_overload(operator.truediv, "fdiv")
