"""Blocks of matrix products whose sums stay in vector registers: what the compiler does not find by itself in nested loops.

Written as vectors of eight numbers in the compiler's own language, which any CPU's registers are mapped to. Tiles have
whole blocks of columns (`COLUMNS`), so no block ends early; what lies beyond the samples in use is computed and never read.
"""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_WIDTH = 8
_VECTORS = 2
COLUMNS = _WIDTH * _VECTORS
_FLOAT, _WHOLE, _INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, _WIDTH)
# A product and a sum may become one instruction.
_FUSED = ("contract",)
_FLOAT_BYTES = 4


class _Rows:
    """Reads and writes vectors of a C-contiguous float32 matrix in code that is being built."""

    def __init__(self, context: object, builder: ir.IRBuilder, kind: types.Array, value: ir.Value) -> None:
        matrix = context.make_array(kind)(context, builder, value)
        self.builder, self.data = builder, matrix.data
        self.n_columns = cgutils.unpack_tuple(builder, matrix.shape, 2)[1]

    def place(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """Address of an entry."""
        index = self.builder.add(self.builder.mul(row, self.n_columns), column)
        return self.builder.gep(self.data, [index])

    def vector(self, row: ir.Value, column: ir.Value, kind: ir.VectorType = _VECTOR) -> ir.Value:
        """The entries from a column on."""
        pointer = self.builder.bitcast(self.place(row, column), kind.as_pointer())
        return self.builder.load(pointer, align=_FLOAT_BYTES)

    def put(self, value: ir.Value, row: ir.Value, column: ir.Value) -> None:
        """Writes a vector from a column on."""
        pointer = self.builder.bitcast(self.place(row, column), value.type.as_pointer())
        self.builder.store(value, pointer, align=_FLOAT_BYTES)

    def spread(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """One value in all lanes of a vector."""
        entry = self.builder.load(self.place(row, column))
        first = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), entry, _WHOLE(0))
        return self.builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_WHOLE, _WIDTH), [0] * _WIDTH))


def _add_to(builder: ir.IRBuilder, total: ir.Value, left: ir.Value, right: ir.Value) -> None:
    """*total += left * right."""
    grown = builder.fadd(builder.load(total), builder.fmul(left, right, flags=_FUSED), flags=_FUSED)
    builder.store(grown, total)


def _totals(builder: ir.IRBuilder, n: int) -> list[ir.Value]:
    """n vectors that start at zero; they become registers."""
    places = [cgutils.alloca_once(builder, _VECTOR) for _ in range(n)]
    for place in places:
        builder.store(ir.Constant(_VECTOR, [0.0] * _WIDTH), place)
    return places


def _product_block(n_rows: int) -> Callable:
    """Compiled (weights (J, K), j, columns (K, T), i, out (J, T), is_sum): rows j ... j + n_rows and COLUMNS columns from i of
    weights @ columns go to out, added to what is there when is_sum.
    """

    def block(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> object:
        kinds = signature.args
        weights, columns, out = (_Rows(context, builder, kinds[at], arguments[at]) for at in (0, 2, 4))
        j, i, is_sum = arguments[1], arguments[3], arguments[5]
        rows = [builder.add(j, _INDEX(r)) for r in range(n_rows)]
        places = [builder.add(i, _INDEX(v * _WIDTH)) for v in range(_VECTORS)]
        totals = _totals(builder, n_rows * _VECTORS)
        with builder.if_then(is_sum):
            for at, total in enumerate(totals):
                builder.store(out.vector(rows[at // _VECTORS], places[at % _VECTORS]), total)
        with cgutils.for_range(builder, weights.n_columns) as loop:
            inputs = [columns.vector(loop.index, place) for place in places]
            for r, row in enumerate(rows):
                weight = weights.spread(row, loop.index)
                for v, vector in enumerate(inputs):
                    _add_to(builder, totals[r * _VECTORS + v], weight, vector)
        for at, total in enumerate(totals):
            out.put(builder.load(total), rows[at // _VECTORS], places[at % _VECTORS])
        return context.get_dummy_value()

    @intrinsic
    def compiled(typing: object, weights: object, j: object, columns: object, i: object, out: object, is_sum: object):  # noqa: ANN202
        return types.void(weights, types.intp, columns, types.intp, out, types.boolean), block

    return compiled


def _outer_block(n_rows: int, n_others: int = 4) -> Callable:
    """Compiled (left (J, T), j, right (K, T), k, sums (J, K), n): adds the products of n_rows rows of left and four rows of right,
    summed over n columns.
    """

    def block(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> object:
        kinds = signature.args
        left, right, sums = (_Rows(context, builder, kinds[at], arguments[at]) for at in (0, 2, 4))
        j, k, n = arguments[1], arguments[3], arguments[5]
        rows = [builder.add(j, _INDEX(r)) for r in range(n_rows)]
        others = [builder.add(k, _INDEX(r)) for r in range(n_others)]
        totals = _totals(builder, n_rows * n_others)

        def add(column: ir.Value, keep: Callable) -> None:
            vectors = [right.vector(other, column) for other in others]
            for r, row in enumerate(rows):
                mine = keep(left.vector(row, column))
                for o, vector in enumerate(vectors):
                    _add_to(builder, totals[r * n_others + o], mine, keep(vector))

        n_whole = builder.sdiv(n, _INDEX(_WIDTH))
        with cgutils.for_range(builder, n_whole) as loop:
            add(builder.mul(loop.index, _INDEX(_WIDTH)), lambda vector: vector)
        left_over = builder.trunc(builder.srem(n, _INDEX(_WIDTH)), _WHOLE)
        with builder.if_then(builder.icmp_signed(">", left_over, _WHOLE(0))):
            lanes = ir.VectorType(_WHOLE, _WIDTH)
            first = builder.insert_element(ir.Constant(lanes, ir.Undefined), left_over, _WHOLE(0))
            ends = builder.shuffle_vector(first, first, ir.Constant(lanes, [0] * _WIDTH))
            is_used = builder.icmp_signed("<", ir.Constant(lanes, list(range(_WIDTH))), ends)
            zeros = ir.Constant(_VECTOR, [0.0] * _WIDTH)
            add(builder.mul(n_whole, _INDEX(_WIDTH)), lambda vector: builder.select(is_used, vector, zeros))
        for r, row in enumerate(rows):
            summed = _sums_of_four(
                builder, [builder.load(total) for total in totals[r * n_others : (r + 1) * n_others]]
            )
            sums.put(builder.fadd(sums.vector(row, k, summed.type), summed), row, k)
        return context.get_dummy_value()

    @intrinsic
    def compiled(typing: object, left: object, j: object, right: object, k: object, sums: object, n: object):  # noqa: ANN202
        return types.void(left, types.intp, right, types.intp, sums, types.intp), block

    return compiled


def _sums_of_four(builder: ir.IRBuilder, vectors: list[ir.Value]) -> ir.Value:
    """The sums of four vectors' entries as one vector of four: neighbours are added, then both halves of the register.

    Registers are added within their halves, since crossing those costs more.
    """

    def pick(x: ir.Value, y: ir.Value, places: list[int]) -> ir.Value:
        return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_WHOLE, len(places)), places))

    def neighbours(x: ir.Value, y: ir.Value) -> ir.Value:
        evens = [0, 2, 8, 10, 4, 6, 12, 14]
        return builder.fadd(pick(x, y, evens), pick(x, y, [place + 1 for place in evens]))

    a, b, c, d = vectors
    fours = neighbours(neighbours(a, b), neighbours(c, d))
    return builder.fadd(pick(fours, fours, [0, 1, 2, 3]), pick(fours, fours, [4, 5, 6, 7]))


product_of_four, product_of_two = _product_block(4), _product_block(2)
outer_of_two = _outer_block(2)
