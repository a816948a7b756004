"""What a decoder layer computes between its matrix products on a CPU, in two compiled loops (`cpu_loops.py`).

The loops run on the threads of the OpenMP library that torch and oneDNN use. Threads of another library would compete
with them for the cores.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from llvmlite import binding

from chatscale_server.engine.kernels.cpu_loops import (
    ATTENTION_FIELDS,
    NORM_FIELDS,
    attention_loop,
    norm_loop,
    scratch_floats,
)

FORMATS: Final = (torch.float32, torch.bfloat16)
_NormFields: Final = ctypes.c_int64 * NORM_FIELDS
_AttentionFields: Final = ctypes.c_int64 * ATTENTION_FIELDS
_NORM_ROWS: Final = 64
"""Rows of a norm from which on it uses more than one thread: 32 rows take 6 microseconds."""
_ATTENTION_ROWS: Final = 4
"""Tokens of an attention from which on it uses more than one thread."""
_ATTENTION_COLUMNS: Final = 1024
"""Columns of the longest sequence from which on fewer tokens use more than one thread too: 100 microseconds with one
(three KV heads of 64 numbers). Waking a thread takes about 10."""


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Dimensions and constants of a decoder layer."""

    hidden: int
    heads: int
    kv_heads: int
    width: int
    """Numbers of one head."""
    scale: float
    """Of the scores of the attention."""
    eps: float
    """Of the norms."""
    normed: bool
    """Queries and keys have norms."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tokens of a batch are. Tensors are int64."""

    positions: torch.Tensor
    rows: torch.Tensor
    """Rows of the KV cache."""
    decodes: int
    """Number of tokens that decode, which come first."""
    longest: int
    """Tokens of the longest sequence that decodes."""

    def __post_init__(self) -> None:
        """The loops read memory at these addresses, and cannot check what is there."""
        for name, tensor in (("positions", self.positions), ("rows", self.rows)):
            if tensor.dtype is not torch.int64 or not tensor.is_contiguous():
                raise TypeError(f"{name} are {tensor.dtype} with strides {tensor.stride()}, not contiguous int64")


class CpuKernels:
    """The compiled loops for one model. Compiling takes three seconds."""

    def __init__(self, sizes: LayerSizes, dtype: torch.dtype, rotations: tuple[torch.Tensor, torch.Tensor]) -> None:
        """rotations: cosines and sines of all positions, (max_len, width / 2) float32.

        Raises ValueError if the loops do not support the model, OSError if torch uses no OpenMP library.
        """
        if dtype not in FORMATS:
            raise ValueError(f"the number format is {dtype}, not {' or '.join(map(str, FORMATS))}")
        if sizes.width % 2 or sizes.heads % sizes.kv_heads:
            raise ValueError(f"{sizes.heads} heads of {sizes.width} for {sizes.kv_heads} KV heads")
        if any(one.shape[1] != sizes.width // 2 or not one.is_contiguous() for one in rotations):
            raise ValueError("the rotary embedding does not rotate whole heads")
        self._sizes, self._rotations = sizes, rotations
        self._group = sizes.heads // sizes.kv_heads
        self._start = _openmp()
        bfloat16 = dtype is torch.bfloat16
        # The references keep the code in memory.
        self._norm = norm_loop(bfloat16=bfloat16, width=sizes.hidden, eps=sizes.eps)
        self._attention = attention_loop(
            bfloat16=bfloat16, kv_heads=sizes.kv_heads, group=self._group, width=sizes.width,
            scale=sizes.scale, eps=sizes.eps, normed=sizes.normed,
        )  # fmt: skip

    def norm(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """RMS norm of (rows, hidden)."""
        states = states.contiguous()
        output = torch.empty_like(states)
        rows = len(states)
        fields = _NormFields(states.data_ptr(), weight.data_ptr(), output.data_ptr(), rows)
        self._start(self._norm.address, fields, torch.get_num_threads() if rows >= _NORM_ROWS else 1, 0)
        return output

    def scratch(self, longest: int) -> torch.Tensor:
        """Memory for the attention of a forward pass. longest: tokens of the longest sequence that decodes."""
        return torch.empty(torch.get_num_threads() * scratch_floats(self._group, self._sizes.width, longest))

    def attend(
        self,
        states: torch.Tensor,
        places: Places,
        keys: torch.Tensor,
        values: torch.Tensor,
        norms: tuple[torch.Tensor, torch.Tensor] | None,
        window: int | None,
        scratch: torch.Tensor,
    ) -> torch.Tensor:
        """Rotate the states in place, store keys and values, and attend for the tokens that decode.

        states: (tokens, all heads * width), contiguous: queries, keys and values.  keys, values: a layer of the cache.
        norms: weights of the norms of queries and keys.  Returns (tokens, heads * width); rows of tokens that do not
        decode are not computed. Queries and keys of tokens that decode stay as they were.
        """
        tokens, sizes = len(states), self._sizes
        output = torch.empty(tokens, sizes.heads * sizes.width, dtype=states.dtype)
        query_norm, key_norm = norms or (states, states)
        cosines, sines = self._rotations
        fields = _AttentionFields(
            states.data_ptr(), tokens, cosines.data_ptr(), sines.data_ptr(), places.positions.data_ptr(),
            places.rows.data_ptr(), keys.data_ptr(), values.data_ptr(), places.decodes, output.data_ptr(),
            window or 0, places.longest, scratch.data_ptr(), query_norm.data_ptr(), key_norm.data_ptr(),
        )  # fmt: skip
        columns = min(places.longest, window or places.longest)
        # One thread or all: for any other number libgomp ends threads and starts them again in the next operation.
        several = tokens >= _ATTENTION_ROWS or (columns >= _ATTENTION_COLUMNS and tokens * sizes.kv_heads > 1)
        self._start(self._attention.address, fields, torch.get_num_threads() if several else 1, 0)
        return output


@cache
def _openmp() -> Callable[[int, Any, int, int], None]:
    """`GOMP_parallel` of the library that torch uses: runs a loop on a number of threads. Raises OSError without it."""
    # A name is looked up in the libraries that this one has loaded. torch may use the libgomp of another folder: if one
    # with the same name was loaded before, or if the distribution has one.
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    try:
        for name in ("omp_get_thread_num", "omp_get_num_threads"):
            binding.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
        start = library.GOMP_parallel
    except AttributeError as error:
        raise OSError("torch uses no OpenMP library") from error
    start.argtypes, start.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    run: Callable[[int, Any, int, int], None] = start
    return run
