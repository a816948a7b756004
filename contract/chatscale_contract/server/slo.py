"""When a request misses its latency objectives: the rule behind `Metric.SLO_MISSES_TOTAL`. Pure.

The operator writes the objectives as a file (`endpoints.SLO_FILE_PATH`), so that they can change while a server runs.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, Self

from chatscale_contract.server.metrics import SLO_PREFILL_FACTOR

MAX_TTFT_S: Final = 600.0
MAX_TPOT_S: Final = 60.0
_TTFT_KEY: Final = "ttft_seconds"
_TPOT_KEY: Final = "time_per_output_token_seconds"


@dataclass(frozen=True, slots=True)
class LatencyObjectives:
    """Latency objectives of one model, in seconds."""

    ttft_s: float = 2.0
    tpot_s: float = 0.1

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the file's content. Unknown keys are ignored.

        Raises ValueError that names the key, the expected and the found value.
        """
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"expected a JSON object, found {text[:100]!r}")  # noqa: TRY004 - JSON is wrong as a value
        return cls(_seconds(found, _TTFT_KEY, MAX_TTFT_S), _seconds(found, _TPOT_KEY, MAX_TPOT_S))

    def to_json(self) -> str:
        """The file's content."""
        return json.dumps({_TTFT_KEY: self.ttft_s, _TPOT_KEY: self.tpot_s}, indent=2) + "\n"

    def misses_ttft(self, ttft_s: float, prompt_tokens: int, max_tokens_per_second: float) -> bool:
        """True if the first token of a request came later than its prompt allows.

        max_tokens_per_second: prefill throughput of the replica; 0 means unknown.
        E.g. a prompt of 3000 tokens at 1000 tokens/s may take 9 s, even if `ttft_s` is 2.
        """
        limit_s = self.ttft_s
        if max_tokens_per_second > 0:
            limit_s = max(limit_s, SLO_PREFILL_FACTOR * prompt_tokens / max_tokens_per_second)
        return ttft_s > limit_s

    def misses_tpot(self, decode_time_s: float, tokens: int) -> bool:
        """True if the mean time per token after the first was too long. One token never misses."""
        return tokens > 1 and decode_time_s / (tokens - 1) > self.tpot_s


def _seconds(found: dict[str, Any], key: str, longest: float) -> float:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= longest:
        raise ValueError(f"{key} must be a number above 0 and at most {longest:g}, found {value!r}")
    return float(value)
