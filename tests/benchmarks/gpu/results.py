"""What a run found, written after each section, and what the sections share."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.load import Answer, Clients
from tests.benchmarks.gpu.shapes import LLAMA_1B, LLAMA_8B, Limits, Shape, tiny


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    slots: int = 64
    slot_tokens: int = 5120
    prompt: int = 200
    answer: int = 128
    clients: tuple[int, ...] = (1, 8, 16, 32, 64)
    turns: int = 4
    """Requests of each client."""
    turns_1b: int = 8
    """More for the fast model, so that its runs take some seconds too."""
    turns_alone: int = 6
    crowd: int = 32
    mixed: tuple[int, int] = (30, 1200)
    """Shortest and longest prompt."""
    prefills: tuple[int, ...] = (1024, 4096)
    prefill_turns: int = 6
    sampled: tuple[int, ...] = (32, 64)
    tight_requests: int = 64
    long_prompt: int = 100_000


TINY = Sizes(
    slots=4, slot_tokens=512, prompt=20, answer=8, clients=(1, 4), turns=2, turns_1b=2, turns_alone=2, crowd=4,
    mixed=(5, 60), prefills=(64,), prefill_turns=2, sampled=(4,), tight_requests=4, long_prompt=300,
)  # fmt: skip


@dataclass(slots=True)
class Bench:
    """One run."""

    device: str
    small: bool
    folder: Path
    """Of the models."""
    output: Path
    clients: Clients
    deadline_s: float
    """On the monotonic clock."""
    sizes: Sizes
    found: dict[str, Any] = field(default_factory=dict)
    """The content of the JSON file."""

    def shape(self, name: str) -> Shape:
        """The shape of model `8b` or `1b`."""
        shape = {"8b": LLAMA_8B, "1b": LLAMA_1B}[name]
        return tiny(shape) if self.small else shape

    @property
    def limits(self) -> Limits:
        """As measured; NaN before section `limits`."""
        found = self.found.get("limits", {})
        return Limits(found.get("read_bytes_per_s", math.nan), found.get("matmul_flop_per_s", math.nan))

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline_s - time.monotonic()

    def add(self, section: str, /, **row: Any) -> None:
        """Add a row to a section, print and write it."""
        rounded = {name: _rounded(value) for name, value in row.items()}
        self.found.setdefault("sections", {}).setdefault(section, []).append(rounded)
        print(f"{section}: " + ", ".join(f"{name} {value}" for name, value in rounded.items()), flush=True)
        self.save()

    def save(self) -> None:
        """Write the JSON file and its tables."""
        from tests.benchmarks.gpu.page import tables

        self.output.mkdir(parents=True, exist_ok=True)
        (self.output / "gpu.json").write_text(json.dumps(self.found, indent=1))
        (self.output / "gpu.md").write_text(tables(self.found))


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Throughput and latencies of the whole answers, and the problems of the others."""
    whole = [answer for answer in answers if not answer.problem]
    problems = [answer.problem for answer in answers if answer.problem]
    row: dict[str, Any] = {}
    if whole:
        elapsed_s = max(answer.last_s for answer in whole) - min(answer.sent_s for answer in whole)
        ttfts = [answer.ttft_s * 1000 for answer in whole]
        gaps = [gap * 1000 for answer in whole for gap in answer.gaps_s]
        row = {
            "tokens_per_s": sum(answer.tokens for answer in whole) / elapsed_s,
            "ttft_p50_ms": percentile(ttfts, 50), "ttft_p95_ms": percentile(ttfts, 95),
            "gap_p50_ms": percentile(gaps, 50), "gap_p95_ms": percentile(gaps, 95),
            "seconds": elapsed_s,
        }  # fmt: skip
    if problems:
        row |= {"failed": len(problems), "first_problem": problems[0]}
    return row


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.4g}")
    return value
