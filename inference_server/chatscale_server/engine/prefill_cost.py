"""How many prompt tokens a step reads on this CPU: few enough that streams do not stall, many enough to pay. Pure."""

from dataclasses import dataclass
from typing import Final, Self

STALL_S: Final = (0.25, 0.75)
"""How long running streams wait for prompts: so long at least where there are any, and at most."""
PASS_SHARE: Final = 0.2
"""Of a step's prefill, what the pass itself may take. Between the bounds, steps are as long as that needs: on two cores
without bfloat16 a pass costs as much as 58 tokens, and steps of 0.25 s read 250 tokens a second, of 0.75 s 340."""
BURST_S: Final = 2.0
"""The longest step, where prompts outnumber the streams that wait for them: the more share a pass, the less each costs.
SmolLM2 in bfloat16 on two cores reads 4 prompts of 80 tokens in 0.31 s and 16 in 0.67 s."""
STEP_TOKENS_RANGE: Final = (64, 1024)
"""Whatever was measured: below 64 tokens a pass over the weights is mostly overhead."""


@dataclass(frozen=True, slots=True)
class PrefillCost:
    """A pass over n prompt tokens takes pass_s + n * token_s seconds."""

    pass_s: float
    token_s: float

    @classmethod
    def of_probes(cls, small: tuple[int, float], large: tuple[int, float]) -> Self:
        """From two passes, each of so many tokens and seconds. What noise makes impossible becomes a pass for free."""
        (few, few_s), (many, many_s) = small, large
        token_s = (many_s - few_s) / max(many - few, 1)
        pass_s = few_s - few * token_s
        return cls(pass_s, token_s) if token_s > 0 and pass_s > 0 else cls(0.0, many_s / many)

    @property
    def step_tokens(self) -> int:
        """Prompt tokens of a step beside streams."""
        least, most = ((limit_s - self.pass_s) / self.token_s for limit_s in STALL_S)
        enough = self.pass_s / self.token_s * (1 - PASS_SHARE) / PASS_SHARE
        low, high = STEP_TOKENS_RANGE
        return max(low, min(high, int(max(least, min(most, enough)))))

    @property
    def tokens_per_second(self) -> float:
        """Of such steps."""
        return self.step_tokens / (self.pass_s + self.step_tokens * self.token_s)

    @property
    def burst_factor(self) -> int:
        """How many times `step_tokens` the longest step has."""
        return max(1, int(BURST_S * self.tokens_per_second / self.step_tokens))
