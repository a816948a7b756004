"""Section sampling: the rows of `sampling.run()`, which compares and times the sampling kernel alone."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.benchmarks.gpu.results import Bench

MODULE: Final = "tests.benchmarks.gpu.sampling"


def sampling(bench: Bench) -> None:
    """Run it in a process of its own, which frees the GPU's memory at its end."""
    if bench.device != "cuda" or importlib.util.find_spec(MODULE) is None:
        bench.add("sampling", skipped="needs a GPU" if bench.device != "cuda" else "there is no such module")
        return
    code = f"import json, {MODULE} as module; print(json.dumps(module.run()))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=max(bench.left_s, 1), check=True,
        env=os.environ,
    )  # fmt: skip
    for row in rows(json.loads(done.stdout.splitlines()[-1])):
        bench.add("sampling", **row)


def rows(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """First what must hold, then the times in milliseconds."""
    differences, waits = found["differences"], found["waits"]
    problems = [*differences, *waits]
    yield {
        "case": "against the definition", "differences": len(differences), "waits": len(waits),
        "chi_square": found["chi_square"], "chi_square_limit": found["chi_square_limit"],
        "first_problem": problems[0] if problems else "",
        "kept": not problems and found["chi_square"] < found["chi_square_limit"],
    }  # fmt: skip
    for times in found["rows"]:
        yield {"case": f"{times['sampling']}, {times['logits']} logits", **times}
