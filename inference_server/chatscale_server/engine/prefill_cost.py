"""Chooses the prefill tokens of a step on a CPU: few enough to not stall streams, many enough to be efficient. Pure."""

from dataclasses import dataclass
from typing import Final, Self

STALL_S: Final = (0.25, 0.75)
"""Minimum and maximum time that a step with prompts may delay running streams."""
PASS_SHARE: Final = 0.2
"""Maximum share of a prefill step that the fixed cost of the forward pass may take. Within the bounds above, steps get
as long as that requires. On two cores without bfloat16 a pass costs as much as 58 tokens: steps of 0.25 s prefill 250
tokens/s, steps of 0.75 s 340 tokens/s."""
BURST_S: Final = 2.0
"""Longest step if prompts outnumber streams: prompts that share a forward pass cost less each. SmolLM2 in bfloat16 on
two cores prefills 4 prompts of 80 tokens in 0.31 s and 16 in 0.67 s."""
STEP_TOKENS_RANGE: Final = (64, 1024)
"""Bounds whatever was measured. Below 64 tokens a forward pass is mostly overhead."""


@dataclass(frozen=True, slots=True)
class PrefillCost:
    """A forward pass over n prompt tokens takes pass_s + n * token_s seconds."""

    pass_s: float
    token_s: float

    @classmethod
    def of_probes(cls, small: tuple[int, float], large: tuple[int, float]) -> Self:
        """From two measured passes, each (tokens, seconds). If noise makes a cost negative, pass_s becomes 0."""
        (few, few_s), (many, many_s) = small, large
        token_s = (many_s - few_s) / max(many - few, 1)
        pass_s = few_s - few * token_s
        return cls(pass_s, token_s) if token_s > 0 and pass_s > 0 else cls(0.0, many_s / many)

    @property
    def step_tokens(self) -> int:
        """Prefill tokens of a step with running streams."""
        least, most = ((limit_s - self.pass_s) / self.token_s for limit_s in STALL_S)
        enough = self.pass_s / self.token_s * (1 - PASS_SHARE) / PASS_SHARE
        low, high = STEP_TOKENS_RANGE
        return max(low, min(high, int(max(least, min(most, enough)))))

    @property
    def tokens_per_second(self) -> float:
        """Prefill throughput of such steps."""
        return self.step_tokens / (self.pass_s + self.step_tokens * self.token_s)

    @property
    def burst_factor(self) -> int:
        """Prefill tokens of the longest step, in multiples of `step_tokens`."""
        return max(1, int(BURST_S * self.tokens_per_second / self.step_tokens))
