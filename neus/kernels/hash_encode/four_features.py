"""Look-ups of rows of four features, a row in one register: what the compiler does not find by itself, since it goes feature by feature.

In single and double precision. Where rows have four features these stand in for `hash_lookup.read` and `hash_lookup.add`.
"""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

N_FEATURES = 4
_LANE = ir.IntType(32)
_ALL_LANES = ir.Constant(ir.VectorType(_LANE, N_FEATURES), [0] * N_FEATURES)
# A product and a sum may become one instruction.
_FUSED = ("contract",)


class _Rows:
    """A flat table, read and written by rows in code that is being built."""

    def __init__(self, context: object, builder: ir.IRBuilder, kind: types.Array, value: ir.Value) -> None:
        self.builder, self.data = builder, context.make_array(kind)(context, builder, value).data
        self.number = context.get_value_type(kind.dtype)
        self.vector, self.n_bytes = ir.VectorType(self.number, N_FEATURES), context.get_abi_sizeof(self.number)

    def _place(self, first: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(self.data, [first]), self.vector.as_pointer())

    def row(self, first: ir.Value) -> ir.Value:
        """The row that begins at a number of the table."""
        return self.builder.load(self._place(first), align=self.n_bytes)

    def put(self, row: ir.Value, first: ir.Value) -> None:
        """Writes a row."""
        self.builder.store(row, self._place(first), align=self.n_bytes)

    def spread(self, number: ir.Value) -> ir.Value:
        """One number in all four places."""
        first = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, _LANE(0))
        return self.builder.shuffle_vector(first, first, _ALL_LANES)

    def mixed(self, low: ir.Value, high: ir.Value, position: ir.Value) -> ir.Value:
        """low + position (high - low)."""
        step = self.builder.fmul(position, self.builder.fsub(high, low, flags=_FUSED), flags=_FUSED)
        return self.builder.fadd(low, step, flags=_FUSED)


def _positions(builder: ir.IRBuilder, table: _Rows, places: ir.Value) -> list[ir.Value]:
    return [table.spread(number) for number in cgutils.unpack_tuple(builder, places, 3)]


@intrinsic
def read_four(typing: object, flat: object, at: object, places: object) -> tuple[object, Callable]:
    """The four features of a point as a tuple: `hash_lookup.read` of each."""

    def build(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        table = _Rows(context, builder, signature.args[0], arguments[0])
        rows = [table.row(first) for first in cgutils.unpack_tuple(builder, arguments[1], 8)]
        for position in _positions(builder, table, arguments[2]):
            rows = [table.mixed(low, high, position) for low, high in zip(rows[::2], rows[1::2], strict=True)]
        features = [builder.extract_element(rows[0], _LANE(f)) for f in range(N_FEATURES)]
        return context.make_tuple(builder, signature.return_type, features)

    return types.UniTuple(flat.dtype, N_FEATURES)(flat, at, places), build


@intrinsic
def add_four(typing: object, flat: object, at: object, places: object, gradients: object) -> tuple[object, Callable]:
    """Adds the gradients of the four features of a point, a tuple, to the corners: `hash_lookup.add` of each."""

    def build(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> object:
        table = _Rows(context, builder, signature.args[0], arguments[0])
        row = ir.Constant(table.vector, ir.Undefined)
        for f, number in enumerate(cgutils.unpack_tuple(builder, arguments[3], N_FEATURES)):
            row = builder.insert_element(row, number, _LANE(f))
        parts = [row]
        for position in reversed(_positions(builder, table, arguments[2])):
            high = [builder.fmul(part, position, flags=_FUSED) for part in parts]
            parts = [
                half
                for part, upper in zip(parts, high, strict=True)
                for half in (builder.fsub(part, upper, flags=_FUSED), upper)
            ]
        for first, part in zip(cgutils.unpack_tuple(builder, arguments[1], 8), parts, strict=True):
            table.put(builder.fadd(table.row(first), part, flags=_FUSED), first)
        return context.get_dummy_value()

    return types.void(flat, at, places, gradients), build
