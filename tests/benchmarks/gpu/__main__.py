"""`python -m tests.benchmarks.gpu`: our server on a GPU, measured against the limits of the card.

Needs a machine with torch >= 2.11 and no network, and ends within `--minutes`. Each section prints its rows and writes
`gpu.json` and `gpu.md` into `--output`, so that a killed run leaves what it has found. A section for which too little
time is left is skipped, and its row says so. `--page gpu.json` writes docs/benchmarks/gpu.md from such a run, on any
machine.

Run it in the root of the checkout. On a machine without package registries the packages that the server needs travel
as wheels, see hack/gpu_wheels.sh, and PYTHONPATH names `inference_server` and `contract`.

Sections:
  limits         read bandwidth and bfloat16 matmul rate of the card
  equality       small models, token for token against `generate`, and rounding errors
  first_crowd    TTFT of the first 32 clients after the start against the next 32
  8b, 1b         1 to 64 clients in closed loops, prompts of 200 and answers of 128 tokens (limit: `shapes`)
  prefill        one prompt of 1,024 or 4,096 tokens at a time
  mixed          32 clients, prompts of 30 to 1,200 tokens
  sampled        temperature 0.8, top-p 0.95
  drain          SIGTERM under load
  sampling       the sampling kernel alone
  tight_memory   little memory: serve or refuse, never die
The ready time of each start is in the rows `start`.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.gpu.equality import equality
from tests.benchmarks.gpu.load import Clients
from tests.benchmarks.gpu.page import PAGE, page
from tests.benchmarks.gpu.results import TINY, Bench, Sizes
from tests.benchmarks.gpu.sampling_section import sampling
from tests.benchmarks.gpu.speed import measure_model
from tests.benchmarks.gpu.tight_memory import tight_memory

ROOT: Final = Path(__file__).parents[3]
OF_8B: Final = frozenset({"first_crowd", "8b", "prefill", "mixed", "sampled", "drain"})
"""Sections on the server of the large model."""
SECTIONS: Final = (
    "limits", "equality", "first_crowd", "8b", "prefill", "mixed", "sampled", "drain", "1b", "sampling", "tight_memory",
)  # fmt: skip
NEEDED_S: Final = {"limits": 0, "equality": 60, "8b": 60, "1b": 40, "sampling": 30, "tight_memory": 0}
"""A step does not begin with less time left. `tight_memory` decides for each of its cases."""
OVERTIME_S: Final = 20
"""After the deadline, until the running step is ended."""
WORKERS: Final = 8
"""Processes of the load generator, at most half of the cores."""
MODEL_BYTES: Final = 20 * 10**9
PACKAGES: Final = ("torch", "triton", "transformers", "aiohttp")


def main() -> int:
    """Run the selected sections; 0 unless one of them failed with an error of the benchmark itself."""
    options = _options()
    if options.page:
        PAGE.write_text(page(json.loads(options.page.read_text()), options.revision))
        return 0
    folder = _model_folder(options.tiny)
    workers = max(1, min(WORKERS, (os.cpu_count() or 1) // 2))
    clients = Clients(workers)
    deadline_s = time.monotonic() + 60 * options.minutes
    sizes = TINY if options.tiny else Sizes()
    bench = Bench(options.device, options.tiny, folder, options.output, clients, deadline_s, sizes)
    bench.found["machine"] = _machine(options)
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("the time is over"))
    signal.alarm(int(60 * options.minutes) + OVERTIME_S)
    try:
        return _run_all(bench, options.sections)
    finally:
        clients.close()
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated; default all")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--tiny", action="store_true", help="tiny shapes: proves that the script works")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--output", type=Path, default=Path("build/gpu"), help="folder of gpu.json and gpu.md")
    parser.add_argument(
        "--page", type=Path, help="write docs/benchmarks/gpu.md from this gpu.json, and measure nothing"
    )
    parser.add_argument("--revision", default="", help="of the measured code, where there is no git checkout")
    options = parser.parse_args()
    options.sections = options.sections.split(",")
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"--sections: {', '.join(sorted(unknown))} are none of {', '.join(SECTIONS)}")
    options.output = options.output.absolute()
    return options


def _run_all(bench: Bench, selected: list[str]) -> int:
    chosen = set(selected)
    models = [name for name, users in {"8b": OF_8B | {"tight_memory"}, "1b": {"1b", "tight_memory"}}.items()
              if chosen & users]  # fmt: skip
    if bench.small:
        models = ["1b"] if models else []
    steps: list[tuple[str, Callable[[], None]]] = [("limits", lambda: _prepare(bench, models))]
    if "equality" in chosen:
        steps.append(("equality", lambda: equality(bench)))
    if chosen & OF_8B and not bench.small:
        steps.append(("8b", lambda: measure_model(bench, "8b", chosen & OF_8B)))
    if "1b" in chosen or (bench.small and chosen & OF_8B):
        steps.append(("1b", lambda: measure_model(bench, "1b", chosen if bench.small else {"1b"})))
    if "sampling" in chosen:
        steps.append(("sampling", lambda: sampling(bench)))
    if "tight_memory" in chosen:
        steps.append(("tight_memory", lambda: tight_memory(bench)))
    failures = [name for name, step in steps if not _guarded(bench, name, step)]
    return 1 if failures else 0


def _guarded(bench: Bench, name: str, step: Callable[[], None]) -> bool:
    """Run a step; its failure must not take the results of the others. False if it failed."""
    if bench.left_s < NEEDED_S[name]:
        bench.add("time", section=name, skipped=f"{bench.left_s:.0f} s are left")
        return True
    began_s = time.monotonic()
    failure = ""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - the other sections still give results
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"[-1500:]
    bench.add("time", section=name, seconds=time.monotonic() - began_s, left_s=bench.left_s, failure=failure)
    return not failure


def _prepare(bench: Bench, models: list[str]) -> None:
    """Limits of the card, and the models."""
    command = [sys.executable, "-m", "tests.benchmarks.gpu.prepare", bench.device, str(bench.folder), *models,
               "--limits", *(["--tiny"] if bench.small else [])]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            found: dict[str, Any] = json.loads(line)
            if "model" in found:
                bench.add("models", **found)
            else:
                bench.found["limits"] = found
                bench.save()
                print(f"limits: {found}", flush=True)
    if process.returncode:
        raise RuntimeError(f"prepare ended with code {process.returncode}")


def _model_folder(small: bool) -> Path:  # noqa: FBT001 - a private helper with one argument
    """In memory where there is room, otherwise on disk."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > (10**8 if small else MODEL_BYTES):
        return Path(tempfile.mkdtemp(prefix="gpu-bench-", dir=memory))
    return Path(tempfile.mkdtemp(prefix="gpu-bench-"))


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "date": datetime.now(tz=UTC).date().isoformat(),  # noqa: TID251 - the page says when it was made
        "revision": options.revision or _output_of("git", "rev-parse", "--short=12", "HEAD"),
        "python": platform.python_version(), "cores": os.cpu_count(), "device": options.device, "tiny": options.tiny,
    }  # fmt: skip
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if options.device == "cuda":
        query = "--query-gpu=name,memory.total,driver_version"
        found["gpu"] = _output_of("nvidia-smi", query, "--format=csv,noheader")
    return found


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
