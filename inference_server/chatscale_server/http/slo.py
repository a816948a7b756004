"""What one request is promised: pure, so that the same rule can be checked by hand."""

from dataclasses import dataclass

from chatscale_contract.server.metrics import SLO_PREFILL_FACTOR


@dataclass(frozen=True, slots=True)
class Slo:
    """The promised times of one replica's requests."""

    ttft_s: float = 2.0
    tpot_s: float = 0.1

    def misses_ttft(self, ttft_s: float, prompt_tokens: int, max_tokens_per_second: float) -> bool:
        """Whether a first token came too late for a prompt of this length.

        max_tokens_per_second: how fast the engine reads prompts; 0 while that is unknown.
        E.g. 3000 tokens at 1000/s are due after 9 s, whatever less is promised.
        """
        due_s = self.ttft_s
        if max_tokens_per_second > 0:
            due_s = max(due_s, SLO_PREFILL_FACTOR * prompt_tokens / max_tokens_per_second)
        return ttft_s > due_s

    def misses_tpot(self, decode_time_s: float, tokens: int) -> bool:
        """Whether an answer was too slow after its first token; a single token has nothing after it."""
        return tokens > 1 and decode_time_s / (tokens - 1) > self.tpot_s
