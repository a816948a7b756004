"""Loops of a decoder layer on a CPU, which numba compiles. `cpu.py` calls them.

A loop is one thread's share of a parallel region of OpenMP. Its argument is the address of a list of 64-bit integers,
which are addresses and sizes. Loops compute in float32 and round to the nearest number of the model's format. Sizes of
the model are constants of the compiled code. Columns are computed four at a time, which is 1.2 times as fast as one.
"""

from functools import cache
from typing import Final

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

COLUMNS: Final = 4
"""Columns that the attention computes together."""
NORM_FIELDS: Final = 4
ATTENTION_FIELDS: Final = 15

_THREAD: Final = types.ExternalFunction("omp_get_thread_num", types.int32())
_THREADS: Final = types.ExternalFunction("omp_get_num_threads", types.int32())
_LOOP: Final = types.void(types.CPointer(types.int64))
_ANY: Final = 1 << 31
"""Length of an array whose length the loop does not need."""


def scratch_floats(group: int, width: int, longest: int) -> int:
    """Size of one thread's scratch memory in float32 numbers."""
    return (2 * group + COLUMNS) * width + group * (longest + COLUMNS)


@intrinsic
def _pointer(_context, _address):
    return types.voidptr(types.int64), lambda _c, builder, _s, given: builder.inttoptr(
        given[0], ir.IntType(8).as_pointer()
    )


@intrinsic
def _as_float(_context, _bits):
    return types.float32(types.uint32), lambda _c, builder, _s, given: builder.bitcast(given[0], ir.FloatType())


@intrinsic
def _as_bits(_context, _number):
    return types.uint32(types.float32), lambda _c, builder, _s, given: builder.bitcast(given[0], ir.IntType(32))


@njit(inline="always")
def _load_bfloat16(bits):
    return _as_float(np.uint32(bits) << np.uint32(16))


@njit(inline="always")
def _store_bfloat16(number):
    bits = _as_bits(np.float32(number))
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@njit(inline="always")
def _same(number):
    return np.float32(number)


@njit(inline="always", fastmath=True)
def _exp(x):
    """exp(x) for x <= 0 by the polynomial of Cephes: a call of the C library would not be vectorised."""
    x = max(x, np.float32(-87.0))
    whole = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    rest = x - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    found = np.float32(1.9875691500e-4)
    found = found * rest + np.float32(1.3981999507e-3)
    found = found * rest + np.float32(8.3334519073e-3)
    found = found * rest + np.float32(4.1665795894e-2)
    found = found * rest + np.float32(1.6666665459e-1)
    found = found * rest + np.float32(5.0000001201e-1)
    found = found * rest * rest + rest + np.float32(1.0)
    return found * _as_float(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))


def _format(bfloat16):
    return (np.uint16, _load_bfloat16, _store_bfloat16) if bfloat16 else (np.float32, _same, _same)


@cache
def norm_loop(*, bfloat16, width, eps):
    """RMS norm of rows. Fields: inputs, weight, outputs, rows."""
    stored, load, store = _format(bfloat16)
    small, share = np.float32(eps), np.float32(1 / width)

    @cfunc(_LOOP, fastmath=True, error_model="numpy")
    def loop(given):
        rows = given[3]
        inputs = carray(_pointer(given[0]), (rows, width), stored)
        weight = carray(_pointer(given[1]), (width,), stored)
        outputs = carray(_pointer(given[2]), (rows, width), stored)
        thread, threads = np.int64(_THREAD()), np.int64(_THREADS())
        for row in range(rows * thread // threads, rows * (thread + 1) // threads):
            total = np.float32(0)
            for at in range(width):
                number = load(inputs[row, at])
                total += number * number
            factor = np.float32(1) / np.sqrt(total * share + small)
            for at in range(width):
                outputs[row, at] = store(load(inputs[row, at]) * factor * load(weight[at]))

    return loop


def _turn(load, *, width, eps, normed):
    """A function that applies the norm of a head, if the family has one, and the rotary embedding, in float32."""
    half = width // 2
    small, share = np.float32(eps), np.float32(1 / width)

    @njit(inline="always", fastmath=True)
    def turn(source, weight, cosine, sine, target):
        factor = np.float32(1)
        if normed:
            total = np.float32(0)
            for at in range(width):
                number = load(source[at])
                total += number * number
            factor = np.float32(1) / np.sqrt(total * share + small)
        for at in range(half):
            left, right = load(source[at]), load(source[at + half])
            if normed:
                left = left * factor * load(weight[at])
                right = right * factor * load(weight[at + half])
            target[at] = left * cosine[at] - right * sine[at]
            target[at + half] = right * cosine[at] + left * sine[at]

    return turn


def _read_four(load, *, width):
    """A function that reads four rows of the cache from `place` on. Beyond `last`, it reads `last` again."""

    @njit(inline="always", fastmath=True)
    def read(block, head, place, last, rows):
        second, third, fourth = min(place + 1, last), min(place + 2, last), min(place + 3, last)
        for at in range(width):
            rows[0, at] = load(block[place, head, at])
        for at in range(width):
            rows[1, at] = load(block[second, head, at])
        for at in range(width):
            rows[2, at] = load(block[third, head, at])
        for at in range(width):
            rows[3, at] = load(block[fourth, head, at])

    return read


@njit(inline="always")
def _reach(position, window):
    """Number of columns that a token attends to."""
    return min(position + 1, window) if window > 0 else position + 1


@njit(inline="always", fastmath=True)
def _softmax(scores, count):
    """In place. The columns after `count` become 0, so that a group of four can read them."""
    most = scores[0]
    for column in range(count):
        most = max(most, scores[column])
    total = np.float32(0)
    for column in range(count):
        weight = _exp(scores[column] - most)
        scores[column] = weight
        total += weight
    factor = np.float32(1) / total
    for column in range(count):
        scores[column] *= factor
    for column in range(count, count + COLUMNS):
        scores[column] = np.float32(0)


def _attend(load, *, group, width):
    """A function: attention of the query heads of one KV head over the rows `first` to `last` of the cache."""
    read = _read_four(load, width=width)

    @njit(inline="always", fastmath=True)
    def attend(keys, values, head, first, last, query, found, rows, scores):
        count = last + 1 - first
        for column in range(0, count, COLUMNS):
            read(keys, head, first + column, last, rows)
            for one in range(group):
                a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for at in range(width):
                    number = query[one, at]
                    a += number * rows[0, at]
                    b += number * rows[1, at]
                    c += number * rows[2, at]
                    d += number * rows[3, at]
                scores[one, column] = a
                scores[one, column + 1] = b
                scores[one, column + 2] = c
                scores[one, column + 3] = d
        for one in range(group):
            _softmax(scores[one], count)
            for at in range(width):
                found[one, at] = np.float32(0)
        for column in range(0, count, COLUMNS):
            read(values, head, first + column, last, rows)
            for one in range(group):
                a, b = scores[one, column], scores[one, column + 1]
                c, d = scores[one, column + 2], scores[one, column + 3]
                for at in range(width):
                    found[one, at] += a * rows[0, at] + b * rows[1, at] + c * rows[2, at] + d * rows[3, at]

    return attend


@cache
def attention_loop(*, bfloat16, kv_heads, group, width, scale, eps, normed):  # noqa: C901 - loops, not decisions
    """Rotate queries and keys, store keys and values in the cache, and attend for the tokens that decode.

    The rows of a sequence are consecutive in the cache. The rotated queries and keys of other tokens replace their
    states. Fields: states, tokens, cosines, sines, positions, cache rows of the tokens, cached keys, cached values,
    number of tokens that decode, outputs, window or 0, longest sequence, scratch, weights of the norms of queries and
    of keys. The cosines and sines are (max_len, width / 2) float32.
    """
    stored, load, store = _format(bfloat16)
    heads, half, factor = kv_heads * group, width // 2, np.float32(scale)
    turn = _turn(load, width=width, eps=eps, normed=normed)
    attend = _attend(load, group=group, width=width)

    @cfunc(_LOOP, fastmath=True, error_model="numpy")
    def loop(given):  # noqa: C901, PLR0912 - numba compiles one function
        tokens, decodes, window = given[1], given[8], given[10]
        columns = given[11] + COLUMNS
        thread, threads = np.int64(_THREAD()), np.int64(_THREADS())
        states = carray(_pointer(given[0]), (tokens, heads + 2 * kv_heads, width), stored)
        cosines = carray(_pointer(given[2]), (_ANY, half), np.float32)
        sines = carray(_pointer(given[3]), (_ANY, half), np.float32)
        positions = carray(_pointer(given[4]), (tokens,), np.int64)
        places = carray(_pointer(given[5]), (tokens,), np.int64)
        keys = carray(_pointer(given[6]), (_ANY, kv_heads, width), stored)
        values = carray(_pointer(given[7]), (_ANY, kv_heads, width), stored)
        outputs = carray(_pointer(given[9]), (tokens, heads, width), stored)
        query_weight = carray(_pointer(given[13]), (width,), stored)
        key_weight = carray(_pointer(given[14]), (width,), stored)
        own = given[12] + thread * 4 * ((2 * group + COLUMNS) * width + group * columns)
        query = carray(_pointer(own), (group, width), np.float32)
        found = carray(_pointer(own + 4 * group * width), (group, width), np.float32)
        rows = carray(_pointer(own + 8 * group * width), (COLUMNS, width), np.float32)
        scores = carray(_pointer(own + 4 * (2 * group + COLUMNS) * width), (group, columns), np.float32)
        # Divide the KV heads by their columns: those of a long sequence are then the work of several threads. A thread
        # gets consecutive heads, because those of a token are neighbours in the cache.
        total, done = 0, 0
        for token in range(tokens):
            total += kv_heads * (COLUMNS + _reach(positions[token], window) * (token < decodes))
        for task in range(tokens * kv_heads):
            token, head = task // kv_heads, task % kv_heads
            position, place = positions[token], places[token]
            count = _reach(position, window) * (token < decodes)
            middle = (2 * done + COLUMNS + count) * threads
            done += COLUMNS + count
            if middle < 2 * total * thread or middle >= 2 * total * (thread + 1):
                continue
            cosine, sine = cosines[position], sines[position]
            turn(states[token, heads + head], key_weight, cosine, sine, rows[0])
            for at in range(width):
                keys[place, head, at] = store(rows[0, at])
                values[place, head, at] = states[token, heads + kv_heads + head, at]
            for one in range(group):
                turn(states[token, head * group + one], query_weight, cosine, sine, query[one])
            if token < decodes:
                for one in range(group):
                    for at in range(width):
                        query[one, at] *= factor
                attend(keys, values, head, place + 1 - count, place, query, found, rows, scores)
                for one in range(group):
                    for at in range(width):
                        outputs[token, head * group + one, at] = store(found[one, at])
            else:
                for at in range(width):
                    states[token, heads + head, at] = store(rows[0, at])
                for one in range(group):
                    for at in range(width):
                        states[token, head * group + one, at] = store(query[one, at])

    return loop
