"""How much slower replicas are under full load than their own measurement says. Learned while requests wait. Pure.

A replica measures its decode steps with short contexts. Long contexts, a KV cache that fills before the slots do, or a
node that is shared make it slower. While requests wait for a slot, a replica computes as fast as it can. Where prefill
binds nothing is learned: the time of a full step does not depend on the context as much.
"""

from dataclasses import dataclass

from chatscale.scaling.signals import ReplicaSample
from chatscale.scaling.speed import Speed
from chatscale.scaling.tuning import FULL_KV_CACHE, MAX_SLOWDOWN

_PRIOR_S = 4.0
"""Seconds of full load at the measured speed that are assumed before the first ones are observed."""


def is_full(sample: ReplicaSample) -> bool:
    """Whether requests wait because all slots are taken or the KV cache is full.

    Without the second condition a request that arrived during the last step would count: it waits for the next one.
    """
    has_no_room = sample.running >= sample.slots or sample.kv_cache_usage_ratio >= FULL_KV_CACHE
    return sample.queue_depth > 0 and has_no_room


@dataclass(frozen=True, slots=True)
class Saturation:
    """Exponentially weighted sums over the time in which requests waited on a replica."""

    elapsed_s: float = _PRIOR_S
    modelled_s: float = _PRIOR_S
    """The same work at the measured speed."""

    @property
    def slowdown(self) -> float:
        """Elapsed over modelled time; at least 1."""
        return min(max(self.elapsed_s / max(self.modelled_s, 1e-9), 1.0), MAX_SLOWDOWN)

    def with_work(self, speed: Speed, prompt_tokens: float, generated_tokens: float, elapsed_s: float) -> "Saturation":
        """Add the tokens that one replica computed in a time in which requests waited all along."""
        if elapsed_s <= 0 or speed.tokens_per_s <= 0 or not speed.is_bound_by_decode(prompt_tokens, generated_tokens):
            return self
        modelled_s = min(speed.request_s(prompt_tokens, generated_tokens), elapsed_s)
        return Saturation(self.elapsed_s + elapsed_s, self.modelled_s + modelled_s)

    def decayed(self, kept: float) -> "Saturation":
        """With a smaller weight of the past (0 to 1), and again at least that of the prior."""
        elapsed_s = max(self.elapsed_s * kept, _PRIOR_S)
        return Saturation(elapsed_s, self.modelled_s * elapsed_s / self.elapsed_s)
