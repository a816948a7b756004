"""Dynamo's performance model of one aggregated engine: TTFT, ITL and best request rate.

Source: ai-dynamo/dynamo at 518a702, components/src/dynamo/planner/core/perf_model/agg.py. There a regression of step
time on prefill tokens and decode KV is fitted to forward passes. Here the step time is that of the simulated machine,
the best possible result of a regression. The largest batch has the bound that the docstring there derives: requests
are admitted at least as fast as they finish. The code there misses a factor (the batch), so prompts would accumulate.
"""

import math
from dataclasses import dataclass

from chatscale_simulator.policies.context import PolicyContext


@dataclass(frozen=True, slots=True)
class Engine:
    """Latency estimates, all in milliseconds."""

    context: PolicyContext

    def step_ms(self, prefill_tokens: float, decoding: float, kv_tokens: float) -> float:
        """Return the time of a step, within the token budget."""
        tokens = min(prefill_tokens + decoding, self.context.tokens_per_step)
        return self.context.step_ms(round(tokens), round(kv_tokens))

    def ttft_ms(self, queued_tokens: float, mean_input: float, decoding: float, kv_tokens: float) -> float:
        """Return the TTFT of a request that arrives now: the prompts before it and its own, in chunks."""
        ahead, budget = queued_tokens + mean_input, self.context.tokens_per_step
        if ahead <= 0:
            return 0.0
        whole, rest = divmod(ahead, budget)
        last_ms = self.step_ms(rest, decoding, kv_tokens) if rest > 0 else 0.0
        return whole * self.step_ms(budget, decoding, kv_tokens) + last_ms

    def itl_ms(self, mean_prefill_tokens: float, decoding: float, kv_tokens: float) -> float:
        """Return the time between two tokens with such a batch."""
        return self.step_ms(mean_prefill_tokens, decoding, kv_tokens)

    def best_rate(self, mean_input: float, mean_output: float, ttft_ms: float, itl_ms: float) -> float:
        """Return the requests per second of the largest batch that meets both targets; of batch 1 if none does.

        By Little's law: batch / (output x step time).
        """
        if mean_input <= 0 or mean_output <= 0:
            return 0.0
        least, most = 1, self._largest_batch(mean_input, mean_output)
        while least < most:  # latency grows with the batch: find the last that meets both
            middle = (least + most + 1) // 2
            if self._meets_targets(middle, mean_input, mean_output, ttft_ms, itl_ms):
                least = middle
            else:
                most = middle - 1
        return 1000 * least / (mean_output * self._batch_step_ms(least, mean_input, mean_output))

    def _largest_batch(self, mean_input: float, mean_output: float) -> int:
        """Return the largest batch that KV cache, slots and token budget allow: admission keeps up with finishing."""
        context = self.context
        by_cache = max(1, int(context.kv_capacity_tokens / (mean_input + mean_output / 2)))
        by_balance = math.floor(mean_output * context.tokens_per_step / (mean_input + mean_output))
        return max(1, min(by_cache, context.max_sequences, by_balance))

    def _batch_step_ms(self, batch: int, mean_input: float, mean_output: float) -> float:
        return self.step_ms(batch * mean_input / max(1.0, mean_output), batch, batch * (mean_input + mean_output / 2))

    def _meets_targets(self, batch: int, mean_input: float, mean_output: float, ttft_ms: float, itl_ms: float) -> bool:
        if self._batch_step_ms(batch, mean_input, mean_output) > itl_ms:
            return False
        queued = int(min(batch * mean_input / max(1.0, mean_output), self.context.tokens_per_step))
        return self.ttft_ms(queued, mean_input, batch, batch * (mean_input + mean_output / 2)) <= ttft_ms
