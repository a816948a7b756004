"""Sampling state of each slot: parameters, generator, last token, and state that only some requests need."""

import logging
from collections.abc import Callable, Sequence
from weakref import ref

import torch

from chatscale_server.engine.request import Constraint, Request, Sampling, Score
from chatscale_server.engine.sampling import choose_tokens, penalise, score_tokens
from chatscale_server.logs import where

log = logging.getLogger(__name__)


class SlotSampler:
    """Sampling state of all slots. `start` resets a slot."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self._device = device
        self._rules = [Sampling()] * slots
        self._tops: list[int | None] = [None] * slots
        self._constraints: list[Callable[[], Constraint | None]] = [_unconstrained] * slots
        """Weak references: a constraint may hold megabytes and must be freed with its request."""
        self._generators = [torch.Generator() for _ in range(slots)]
        self._uniforms: dict[int, float] = {}
        """Random numbers in [0, 1) by slot, drawn for a token that is not chosen yet. A repeated step uses them again,
        so that the tokens of a seeded request stay the same."""
        self._last = [0] * slots
        self._prompts: list[tuple[int, ...]] = [()] * slots
        self._counts: dict[int, torch.Tensor] = {}
        """Counts of generated tokens by slot, for requests with a presence or frequency penalty."""
        self._seen: dict[int, torch.Tensor] = {}
        """Tokens in prompt or output by slot, for requests with a repetition penalty."""
        self.scores: dict[int, Score] = {}
        """Score of the last token by slot, for requests with `top_logprobs`."""

    def start(self, slot: int, request: Request) -> None:
        """Reset the slot for a new request."""
        rule = request.sampling
        self._rules[slot] = rule
        self._tops[slot] = request.top_logprobs
        self._constraints[slot] = ref(request.constraint) if request.constraint is not None else _unconstrained
        self._prompts[slot] = request.prompt if rule.repetition_penalty != 1 else ()
        for memory in (self._counts, self._seen, self.scores, self._uniforms):
            memory.pop(slot, None)
        if rule.seed is None:
            self._generators[slot].seed()
        else:
            self._generators[slot].manual_seed(rule.seed)

    def last_tokens(self, slots: Sequence[int]) -> list[int]:
        """The last token of each slot, input of its next step."""
        return [self._last[slot] for slot in slots]

    def choose(self, logits: torch.Tensor, slots: Sequence[int], greedy: torch.Tensor | None = None) -> dict[int, int]:
        """Choose and store one token per slot. logits: (slots, vocab) float32.

        Any error is raised before the first token is stored, so that the call can be repeated with some of the slots.
        A slot whose constraint fails on its token is left out of the result.
        """
        rules = [self._rules[slot] for slot in slots]
        self._allocate(slots, rules, logits.shape[-1])
        adjusted = penalise(logits, rules, self._stack(self._counts, slots), self._stack(self._seen, slots))
        adjusted = self._constrain(adjusted, slots)
        uniforms = torch.zeros(len(slots), dtype=torch.float64)
        for row, slot in enumerate(slots):
            if rules[row].temperature > 0:
                uniforms[row] = self._uniform(slot)
        chosen = choose_tokens(adjusted, rules, uniforms.to(self._device)).tolist()
        self._score(logits, slots, chosen)
        return {slot: token for slot, token in zip(slots, chosen, strict=True) if self._accept(slot, token)}

    def _uniform(self, slot: int) -> float:
        """The random number for the slot's next token."""
        if slot not in self._uniforms:
            self._uniforms[slot] = torch.rand((), generator=self._generators[slot], dtype=torch.float64).item()
        return self._uniforms[slot]

    def _allocate(self, slots: Sequence[int], rules: Sequence[Sampling], vocab: int) -> None:
        """Allocate the counters that the slots' parameters need, where they are missing."""
        for slot, rule in zip(slots, rules, strict=True):
            if (rule.presence_penalty or rule.frequency_penalty) and slot not in self._counts:
                self._counts[slot] = torch.zeros(vocab, device=self._device)
            if rule.repetition_penalty != 1 and slot not in self._seen:
                seen = torch.zeros(vocab, dtype=torch.bool, device=self._device)
                seen[torch.tensor(self._prompts[slot], device=self._device)] = True
                self._seen[slot] = seen

    @staticmethod
    def _stack(memory: dict[int, torch.Tensor], slots: Sequence[int]) -> torch.Tensor | None:
        """(slots, vocab), zero for slots without an entry; None if no slot has one."""
        some = next((memory[slot] for slot in slots if slot in memory), None)
        if some is None:
            return None
        none = torch.zeros_like(some)
        return torch.stack([memory.get(slot, none) for slot in slots])

    def _constrain(self, logits: torch.Tensor, slots: Sequence[int]) -> torch.Tensor:
        """Mask the tokens that each row's constraint does not allow. Failed constraints change nothing."""
        masks = {
            row: mask
            for row, slot in enumerate(slots)
            if (constraint := self._constraints[slot]()) is not None and (mask := constraint.allowed())
        }
        if not masks:
            return logits
        logits = logits.clone()
        for row, mask in masks.items():
            allowed = torch.frombuffer(bytearray(mask), dtype=torch.uint8)[: logits.shape[-1]].bool()
            logits[row, : len(allowed)].masked_fill_(~allowed.to(self._device), -torch.inf)
            logits[row, len(allowed) :] = -torch.inf
        return logits

    def _accept(self, slot: int, token: int) -> bool:
        """Store the token. False if the slot's constraint raised an error."""
        self._uniforms.pop(slot, None)
        self._last[slot] = token
        if slot in self._counts:
            self._counts[slot][token] += 1
        if slot in self._seen:
            self._seen[slot][token] = True
        if (constraint := self._constraints[slot]()) is not None:
            try:
                constraint.accept(token)
            except Exception as error:  # noqa: BLE001 - the tokens of the other slots are being stored
                log.error("constraint failed", extra=where(error))  # noqa: TRY400 - its message may quote the output
                return False
        return True

    def _score(self, logits: torch.Tensor, slots: Sequence[int], chosen: Sequence[int]) -> None:
        requested = [(row, top) for row, slot in enumerate(slots) if (top := self._tops[slot]) is not None]
        if requested:
            rows, tops = zip(*requested, strict=True)
            scores = score_tokens(logits[list(rows)], [chosen[row] for row in rows], tops)
            self.scores |= {slots[row]: score for row, score in zip(rows, scores, strict=True)}


def _unconstrained() -> None:
    """Returns None, like a dead weak reference."""
