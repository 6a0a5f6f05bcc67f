"""Sixteen dot products of bytes at once, one vector of 64 bytes with sixteen others, in the processor's own words.

A panel holds 64 dimensions of many vectors, sixteen vectors (lanes) side by side: int8 [group, word, lane, 4], where a
word is 4 dimensions. The one vector is 16 words of 4 unsigned bytes. Where the processor multiplies bytes in one
instruction (AVX-512 VNNI) that is used; elsewhere the same sums are made from plain vector arithmetic.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES, WORDS, BYTES = 16, 16, 4
"""Vectors side by side, words of a panel, dimensions of a word."""
PANEL = WORDS * BYTES
"""Dimensions of a panel."""

_I32 = ir.IntType(32)
_V16 = ir.VectorType(_I32, LANES)
_INSTRUCTION = "llvm.x86.avx512.vpdpbusd.512"
"""acc += sum over 4 of unsigned byte x signed byte, in each of 16 lanes. Source: Intel Intrinsics Guide,
_mm512_dpbusd_epi32."""


@functools.cache
def has_instruction() -> bool:
    """Whether this processor multiplies bytes in one instruction."""
    features = binding.get_host_cpu_features()
    return bool(features.get("avx512vnni") and features.get("avx512f"))


def _all_lanes(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_V16, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_V16, [0] * LANES))


def _plain_step(builder: Any, sums: Any, word: Any, lanes: Any) -> Any:
    """Add the products of the word's four unsigned bytes with each lane's four signed ones."""
    for byte in range(BYTES):
        unsigned = builder.and_(builder.lshr(word, ir.Constant(_I32, 8 * byte)), ir.Constant(_I32, 255))
        left = builder.shl(lanes, ir.Constant(_V16, [24 - 8 * byte] * LANES))
        signed = builder.ashr(left, ir.Constant(_V16, [24] * LANES))
        sums = builder.add(sums, builder.mul(_all_lanes(builder, unsigned), signed))
    return sums


def _lanes_at(builder: Any, address: Any, at: Any) -> Any:
    pointer = builder.inttoptr(address, _V16.as_pointer())
    lanes = builder.load(builder.gep(pointer, [at]))
    lanes.align = 64
    return lanes


def _with_products(builder: Any, sums: Any, panel: Any, group: Any, words: Any, *, is_native: bool) -> Any:
    first = builder.mul(group, ir.Constant(group.type, WORDS))
    kind = ir.FunctionType(_V16, [_V16, _V16, _V16])
    for number in range(WORDS):
        lanes = _lanes_at(builder, panel, builder.add(first, ir.Constant(group.type, number)))
        word = builder.extract_value(words, number)
        if is_native:
            step = cgutils.get_or_insert_function(builder.module, kind, _INSTRUCTION)
            sums = builder.call(step, [sums, _all_lanes(builder, word), lanes])
        else:
            sums = _plain_step(builder, sums, word, lanes)
    return sums


_WORD_TUPLE = types.UniTuple(types.int32, WORDS)


def _adding(is_native: bool | None) -> Any:  # noqa: FBT001 - one flag, named where it is given
    def add_lanes(typing_context: Any, panel: Any, start: Any, target: Any, group: Any, words: Any) -> Any:
        """Write the sums at `start` plus a panel's products to `target`; both and `panel` are addresses."""
        signature = types.void(types.intp, types.intp, types.intp, types.intp, _WORD_TUPLE)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            panel, start, target, group, words = arguments
            native = has_instruction() if is_native is None else is_native
            sums = _with_products(builder, _lanes_at(builder, start, group), panel, group, words, is_native=native)
            pointer = builder.inttoptr(target, _V16.as_pointer())
            builder.store(sums, builder.gep(pointer, [group])).align = 64
            return context.get_dummy_value()

        return signature, generate

    return intrinsic(add_lanes)


def _reaching(is_native: bool | None) -> Any:  # noqa: FBT001
    def lanes_that_reach(
        typing_context: Any, panel: Any, start: Any, offset: Any, group: Any, limit: Any, words: Any
    ) -> Any:
        """A bit for each lane whose sum (at `start`, with the panel's products, with `offset`) reaches the limit."""
        signature = types.int32(types.intp, types.intp, types.intp, types.intp, types.int32, _WORD_TUPLE)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            panel, start, offset, group, limit, words = arguments
            native = has_instruction() if is_native is None else is_native
            sums = _with_products(builder, _lanes_at(builder, start, group), panel, group, words, is_native=native)
            sums = builder.add(sums, _lanes_at(builder, offset, group))
            reached = builder.icmp_signed(">=", sums, _all_lanes(builder, limit))
            return builder.zext(builder.bitcast(reached, ir.IntType(LANES)), _I32)

        return signature, generate

    return intrinsic(lanes_that_reach)


add_lanes = _adding(None)
lanes_that_reach = _reaching(None)
add_lanes_plainly = _adding(is_native=False)
lanes_that_reach_plainly = _reaching(is_native=False)
