"""A process that measures the card and writes the models, so that the benchmark itself holds no GPU memory.

    python -m tests.benchmarks.gpu.prepare DEVICE FOLDER [--tiny] [--limits] [MODEL ...]
    python -m tests.benchmarks.gpu.prepare DEVICE --leave-bytes N

Prints one JSON object a line. With --leave-bytes it allocates the device's memory except N bytes, prints a line and
holds it until its input ends.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.gpu.models import write_model
from tests.benchmarks.gpu.shapes import SHAPES, tiny

READ_BYTES: Final = 4 * 2**30
"""Many times the L2 cache, and few enough for 32-bit indices."""
ROWS: Final = 4096
MATMUL_SIDE: Final = 8192
RUNS: Final = 8
TINY_BYTES: Final = 2**26
TINY_SIDE: Final = 256


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--limits", action="store_true")
    parser.add_argument("--leave-bytes", type=int)
    options = parser.parse_args()
    if options.leave_bytes is not None:
        _hold_memory(options.leave_bytes)
        return
    if options.limits:
        _print(**measure_limits(options.device, small=options.tiny))
    for name in options.models:
        shape = tiny(SHAPES[name]) if options.tiny else SHAPES[name]
        began_s = time.perf_counter()
        size = write_model(shape, options.folder / name, options.device)
        _print(model=name, bytes=size, seconds=time.perf_counter() - began_s)


def measure_limits(device: str, *, small: bool) -> dict[str, Any]:
    """Read bandwidth by a reduction and a copy of large tensors, matmul rate by a square product; the fastest runs."""
    import torch

    size = TINY_BYTES if small else READ_BYTES
    first, second = torch.ones(2, size // 8, dtype=torch.int32, device=device)
    # A decode step reads and hardly writes, as a reduction does. A copy reads one half and writes the other.
    rows = first.view(ROWS, -1)
    read_s = min(_seconds(lambda: rows.amax(dim=1), device) for _ in range(RUNS))
    copied_s = min(_seconds(lambda: first.copy_(second), device) for _ in range(RUNS))
    side = TINY_SIDE if small else MATMUL_SIDE
    left, right = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    matmul_s = min(_seconds(lambda: left @ right, device) for _ in range(RUNS))
    return {
        "read_bytes_per_s": max(size / 2 / read_s, size / copied_s),
        "reduction_bytes_per_s": size / 2 / read_s,
        "copy_bytes_per_s": size / copied_s,
        "matmul_flop_per_s": 2 * side**3 / matmul_s,
        "card": torch.cuda.get_device_name() if device == "cuda" else "none",
        "memory_bytes": torch.cuda.mem_get_info()[1] if device == "cuda" else 0,
        "torch": torch.__version__,
        "paged_varlen_attn": has_paged_varlen_attn(),
    }


def has_paged_varlen_attn() -> bool:
    """True if torch has a public variable-length attention with a block table (2.15 or newer)."""
    import inspect

    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return "block_table" in inspect.signature(varlen_attn).parameters


def _seconds(work: Any, device: str) -> float:
    import torch

    if device != "cuda":
        began_s = time.perf_counter()
        work()
        return time.perf_counter() - began_s
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    work()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000


def _hold_memory(leave_bytes: int) -> None:
    import torch

    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(max(free - leave_bytes, 0), dtype=torch.uint8, device="cuda")
    _print(held_bytes=held.numel(), free_bytes=torch.cuda.mem_get_info()[0])
    sys.stdin.read()


def _print(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
