"""What sampling has to remember per slot: rules, generator, last token, counts for the penalties."""

from collections.abc import Sequence

import torch

from chatscale_server.engine.request import Sampling
from chatscale_server.engine.sampling import choose_tokens, penalise


class SlotSampler:
    """State of every slot; a slot's state begins anew with `start`."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self._device = device
        self._rules = [Sampling()] * slots
        self._generators = [torch.Generator() for _ in range(slots)]
        self._last = [0] * slots
        self._counts: dict[int, torch.Tensor] = {}
        """Tokens generated so far, by slot; only of requests with a penalty."""

    def start(self, slot: int, sampling: Sampling) -> None:
        """A new request has the slot."""
        self._rules[slot] = sampling
        self._counts.pop(slot, None)
        if sampling.seed is None:
            self._generators[slot].seed()
        else:
            self._generators[slot].manual_seed(sampling.seed)

    def last_tokens(self, slots: Sequence[int]) -> list[int]:
        """The token that each slot's next step begins with."""
        return [self._last[slot] for slot in slots]

    def choose(self, logits: torch.Tensor, slots: Sequence[int]) -> dict[int, int]:
        """Choose and remember one token per slot. logits: (slots, vocab) float32."""
        rules = [self._rules[slot] for slot in slots]
        logits = penalise(logits, rules, self._counts_of(slots, rules, logits.shape[-1]))
        uniforms = torch.zeros(len(slots), dtype=torch.float64)
        for row, slot in enumerate(slots):
            if rules[row].temperature > 0:
                uniforms[row] = torch.rand((), generator=self._generators[slot], dtype=torch.float64)
        chosen = choose_tokens(logits, rules, uniforms.to(self._device)).tolist()
        for slot, token in zip(slots, chosen, strict=True):
            self._last[slot] = token
            if slot in self._counts:
                self._counts[slot][token] += 1
        return dict(zip(slots, chosen, strict=True))

    def _counts_of(self, slots: Sequence[int], rules: Sequence[Sampling], vocab: int) -> torch.Tensor | None:
        for slot, rule in zip(slots, rules, strict=True):
            if (rule.presence_penalty or rule.frequency_penalty) and slot not in self._counts:
                self._counts[slot] = torch.zeros(vocab, device=self._device)
        if not self._counts.keys() & set(slots):
            return None
        none = torch.zeros(vocab, device=self._device)
        return torch.stack([self._counts.get(slot, none) for slot in slots])
