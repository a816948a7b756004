"""The request rate that one replica can serve, from what it measured in its warm-up. Pure.

The rates of prefill and decode are known before the first request. So which of them binds a mean request is computed
and not learned. KV cache is not in this model: its size in tokens is not reported, and `work.py` learns its share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from chatscale.api.v1alpha1 import BindingLimit
from chatscale.scaling.signals import ReplicaSample, WorkCounters
from chatscale.scaling.tuning import MIN_BATCH_GAIN


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode steps with all slots in use."""

    step_s: float
    """Duration of one step in which every slot generates one token."""
    slots: float
    tokens_per_step: float
    """Most tokens of one step, prompts and output together; above `slots`."""
    batch_gain: float = 2.0
    """Tokens per second with all slots in use, over those with half of them."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one replica measured of itself, mean over the replicas."""

    tokens_per_s: float = 0.0
    """Prompt tokens per second in full steps; 0 before the first sample."""
    decode: Decode | None = None
    """None if a replica does not report it (an older server): every token then counts like a prompt token."""

    def request_s(self, prompt_tokens: float, generated_tokens: float) -> float:
        """Seconds of one replica that a request takes when the replica is fully used. The token rate must be known.

        The longest of three times, of which each is a lower bound:

        - tokens: every step is full, with prompt and output tokens
        - engine: a prefill step also generates one token for each running request; decode steps generate the rest
        - slots: the request holds one of the slots for its own prefill and its decode steps

        E.g. 8 slots, 14,065 tokens/s, 2048 tokens a step, decode steps of 9.9 ms: a request of 20 + 100 tokens takes
        max(9, 125, 124) ms, so a replica serves 8.0 requests/s. With 256 slots and steps of 18 ms it is 9 ms: 117/s.
        """
        tokens_s = (prompt_tokens + generated_tokens) / self.tokens_per_s
        decode = self.decode
        if decode is None:
            return tokens_s
        decode_s = generated_tokens * decode.step_s
        full_step_s = decode.tokens_per_step / self.tokens_per_s
        prefill_steps = prompt_tokens / (decode.tokens_per_step - decode.slots)
        engine_s = prefill_steps * max(full_step_s - decode.step_s, 0.0) + decode_s / decode.slots
        slots_s = (prompt_tokens / self.tokens_per_s + decode_s) / decode.slots
        return max(tokens_s, engine_s, slots_s)

    def binding_limit(self, prompt_tokens: float, generated_tokens: float) -> BindingLimit:
        """What limits the rate of such requests, KV cache aside. The token rate must be known.

        Prefill if decode steps with all slots in use take less than half of the time of a request. E.g. in the example
        of `request_s` they take 124 of 125 ms, and 8 slots generate 1.96 times as many tokens as 4: Slots.
        """
        decode = self.decode
        total_s = self.request_s(prompt_tokens, generated_tokens)
        if decode is None or generated_tokens * decode.step_s / decode.slots < total_s / 2:
            return BindingLimit.PREFILL
        return BindingLimit.SLOTS if decode.batch_gain >= MIN_BATCH_GAIN else BindingLimit.DECODE

    def is_bound_by_decode(self, prompt_tokens: float, generated_tokens: float) -> bool:
        """Whether a request takes longer than its tokens take in full steps."""
        return self.request_s(prompt_tokens, generated_tokens) > (prompt_tokens + generated_tokens) / self.tokens_per_s


def mean_speed(samples: Sequence[ReplicaSample]) -> Speed:
    """The mean over the replicas. All samples must have work counters."""
    works = [(sample, sample.work) for sample in samples if sample.work is not None]
    if not works:
        return Speed()
    decodes = [
        Decode(work.decode_step_s, sample.slots, work.max_tokens_per_step, _batch_gain(work, sample.slots))
        for sample, work in works
        if work.decode_step_s and work.max_tokens_per_step and 0 < sample.slots < work.max_tokens_per_step
    ]
    tokens_per_s = fmean(work.max_tokens_per_second for _, work in works)
    if len(decodes) < len(works):
        return Speed(tokens_per_s)
    return Speed(
        tokens_per_s,
        Decode(
            step_s=fmean(decode.step_s for decode in decodes),
            slots=fmean(decode.slots for decode in decodes),
            tokens_per_step=fmean(decode.tokens_per_step for decode in decodes),
            batch_gain=fmean(decode.batch_gain for decode in decodes),
        ),
    )


def _batch_gain(work: WorkCounters, slots: int) -> float:
    """See `Decode.batch_gain`. A server that does not report half of its slots may use more of them."""
    if not work.half_decode_step_s or not work.decode_step_s:
        return 2.0
    return slots / math.ceil(slots / 2) * work.half_decode_step_s / work.decode_step_s
