"""When a request misses its latency objectives: the rule behind `Metric.SLO_MISSES_TOTAL`. Pure."""

from dataclasses import dataclass

from chatscale_contract.server.metrics import SLO_PREFILL_FACTOR


@dataclass(frozen=True, slots=True)
class LatencyObjectives:
    """Latency objectives of one model, in seconds."""

    ttft_s: float = 2.0
    tpot_s: float = 0.1

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
