"""`python -m tests.benchmarks.simulator_validation`: compares the simulator with real servers and published numbers.

Writes docs/benchmarks/simulator-validation.md. Takes about six minutes of two cores on an otherwise idle machine.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from hack.paths import ROOT, cache_dir
from inference_server.convert_gguf import ensure_converted
from tests.benchmarks.server.machine import describe
from tests.benchmarks.simulator_validation.capacity import capacities
from tests.benchmarks.simulator_validation.page import page
from tests.benchmarks.simulator_validation.recorded import compare, scenes

EXCERPTS = ROOT / "tests" / "data" / "traces"
PAGE = ROOT / "docs" / "benchmarks" / "simulator-validation.md"


def main() -> int:
    """Record, simulate, search, write. Always returns 0: the page reports, it does not check."""
    options = _options()
    # First, since it is the code as it stands now that is measured.
    machine = [row for row in describe("cpu") if row[0] not in {"fastapi", "uvicorn"}]
    model = options.model or ensure_converted(cache_dir() / "models" / "SmolLM2-135M-Instruct")
    compared = []
    for scene in scenes(model, options.seconds):
        sys.stderr.write(f"{scene.name}: {scene.requests} requests\n")
        compared.append(asyncio.run(compare(scene)))
    text = page(compared, list(capacities(EXCERPTS)), machine)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.simulator_validation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=75.0, help="of traffic for each server")
    parser.add_argument("--model", type=Path, help="a folder of safetensors; default SmolLM2-135M-Instruct")
    parser.add_argument("--output", type=Path, default=PAGE)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
