"""Sampling state of each slot: parameters, generator, and state that only some requests need.

On a GPU a step uploads one small tensor, launches one kernel and waits for the device once, to download the tokens.
Masks of grammars, penalties and scores cost further uploads and kernels, for the rows that have them.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import ref

import numpy as np
import torch

from chatscale_server.engine.request import Constraint, Request, Sampling, Score
from chatscale_server.engine.sampling import choose_tokens, pack_parameters, penalise, score_tokens, upload
from chatscale_server.logs import where

log = logging.getLogger(__name__)

UNIFORMS_PER_DRAW: Final = 64
"""Random numbers that a slot's generator draws at once. One call of `torch.rand` takes 5 microseconds."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens that were chosen on the device, and are on their way to the CPU."""

    tokens: torch.Tensor
    """(slots,) int64 on the device"""
    scores: Mapping[int, Score]
    _host: torch.Tensor
    _copied: Any
    """Event after the copy to the CPU; None on a CPU."""

    @classmethod
    def of(cls, tokens: torch.Tensor, scores: Mapping[int, Score]) -> "Drawn":
        """Start the copy to the CPU. Later work on the device does not delay it."""
        if tokens.device.type != "cuda":
            return cls(tokens, scores, tokens, None)
        host = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True)
        host.copy_(tokens, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        return cls(tokens, scores, host, copied)

    def wait(self) -> list[int]:
        """The tokens on the CPU."""
        if self._copied is not None:
            self._copied.synchronize()
        found: list[int] = self._host.tolist()
        return found


class SlotSampler:
    """Sampling state of all slots. `start` resets a slot."""

    def __init__(self, slots: int, device: torch.device, *, use_kernel: bool | None = None) -> None:
        """use_kernel: sample with Triton; by default on a GPU."""
        self._device = device
        self._rules = [Sampling()] * slots
        self._tops: list[int | None] = [None] * slots
        self._constraints: list[Callable[[], Constraint | None]] = [_unconstrained] * slots
        """Weak references: a constraint may hold megabytes and must be freed with its request."""
        self._generators = [torch.Generator() for _ in range(slots)]
        self._uniforms: list[list[float]] = [[] for _ in range(slots)]
        """Random numbers in [0, 1) for the next tokens of each slot; the last one is for the next token. A repeated
        step uses it again, so that the tokens of a seeded request stay the same."""
        self._prompts: list[tuple[int, ...]] = [()] * slots
        self._counts: dict[int, torch.Tensor] = {}
        """Counts of generated tokens by slot, for requests with a presence or frequency penalty."""
        self._seen: dict[int, torch.Tensor] = {}
        """Tokens in prompt or output by slot, for requests with a repetition penalty."""
        self.scores: dict[int, Score] = {}
        """Score of the last token by slot, for requests with `top_logprobs`."""
        self._parameters = torch.zeros(slots, 4, device=device)
        """What `kernels/sampling.py` reads: (slots, 4) float32, written by `start` only."""
        self._kernel: Callable[..., torch.Tensor] | None = None
        self._uses_kernel = device.type != "cpu" if use_kernel is None else use_kernel

    def start(self, slot: int, request: Request) -> None:
        """Reset the slot for a new request. Does not wait for the device."""
        rule = request.sampling
        self._rules[slot] = rule
        self._tops[slot] = request.top_logprobs
        self._constraints[slot] = ref(request.constraint) if request.constraint is not None else _unconstrained
        self._prompts[slot] = request.prompt if rule.repetition_penalty != 1 else ()
        for memory in (self._counts, self._seen, self.scores):
            memory.pop(slot, None)
        self._uniforms[slot] = []
        if rule.seed is None:
            self._generators[slot].seed()
        else:
            self._generators[slot].manual_seed(rule.seed)
        if self._uses_kernel:
            self._parameters[slot] = upload(pack_parameters(rule), self._device, torch.float32)

    def choose(self, logits: torch.Tensor, slots: Sequence[int], greedy: torch.Tensor | None = None) -> dict[int, int]:
        """Choose and store one token per slot: `draw`, then `accept`."""
        return self.accept(self.draw(logits, slots, greedy), slots)

    def draw(self, logits: torch.Tensor, slots: Sequence[int], greedy: torch.Tensor | None = None) -> "Drawn":
        """Choose one token per slot on the device. Waits for the device only if scores are requested.

        logits: (slots, vocab) float32.
        greedy: (slots,) int64 on the device, from `sampling.greedy(logits)`; used if all rows are greedy.
        The first call compiles the kernel, which takes seconds: the engine makes it before it is ready.
        Stores nothing, so that it can be repeated with some of the slots after an error.
        """
        if self._uses_kernel and self._kernel is None:
            self._kernel = _load_kernel(logits, self._parameters)
            self._uses_kernel = self._kernel is not None
        rules = [self._rules[slot] for slot in slots]
        adjusted = self._adjust(logits, slots, self._masks(slots))
        if greedy is not None and adjusted is logits and all(rule.temperature == 0 for rule in rules):
            # A copy: the next recorded step, which may start at once, writes to the same tensor.
            tokens = greedy.clone()
        else:
            tokens = self._draw(adjusted, slots, rules)
        return Drawn.of(tokens, self._score(logits, slots, tokens))

    def accept(self, drawn: "Drawn", slots: Sequence[int]) -> dict[int, int]:
        """Wait for the tokens and store them. A slot whose constraint fails on its token is left out of the result."""
        chosen = drawn.wait()
        self.scores |= drawn.scores
        return {slot: token for slot, token in zip(slots, chosen, strict=True) if self._accept(slot, token)}

    def _draw(self, logits: torch.Tensor, slots: Sequence[int], rules: Sequence[Sampling]) -> torch.Tensor:
        """One token per slot: (slots,) int64 on the device. Does not wait for the device if there is a kernel."""
        uniforms = [
            self._uniform(slot) if rule.temperature > 0 else 0.0 for slot, rule in zip(slots, rules, strict=True)
        ]
        if self._kernel is None:
            return choose_tokens(logits, rules, upload(uniforms, self._device, torch.float64))
        # One tensor, so that there is one upload. Float64 holds the slots exactly.
        step = [number for pair in zip(slots, uniforms, strict=True) for number in pair]
        return self._kernel(logits, upload(step, self._device, torch.float64).view(-1, 2), self._parameters)

    def _uniform(self, slot: int) -> float:
        """The random number for the slot's next token."""
        if not self._uniforms[slot]:
            drawn = torch.rand(UNIFORMS_PER_DRAW, generator=self._generators[slot], dtype=torch.float64)
            self._uniforms[slot] = drawn.flip(0).tolist()
        return self._uniforms[slot][-1]

    def _adjust(self, logits: torch.Tensor, slots: Sequence[int], masks: Mapping[int, bytes]) -> torch.Tensor:
        """The logits with penalties, biases and masks of the rows that have any, in a new tensor; else `logits`.

        masks: allowed tokens by row.
        """
        changed = [row for row, slot in enumerate(slots) if row in masks or _adjusts(self._rules[slot])]
        if not changed:
            return logits
        index = upload(changed, self._device) if len(changed) < len(slots) else None
        part = logits if index is None else logits[index]
        some = [slots[row] for row in changed]
        rules = [self._rules[slot] for slot in some]
        self._allocate(some, rules, logits.shape[-1])
        part = penalise(part, rules, self._stack(self._counts, some), self._stack(self._seen, some))
        masked = [(at, masks[row]) for at, row in enumerate(changed) if row in masks]
        part = self._mask(part, masked) if masked else part
        return part if index is None else logits.index_copy(0, index, part)

    def _allocate(self, slots: Sequence[int], rules: Sequence[Sampling], vocab: int) -> None:
        """Allocate the counters that the slots' parameters need, where they are missing."""
        for slot, rule in zip(slots, rules, strict=True):
            if (rule.presence_penalty or rule.frequency_penalty) and slot not in self._counts:
                self._counts[slot] = torch.zeros(vocab, device=self._device)
            if rule.repetition_penalty != 1 and slot not in self._seen:
                seen = torch.zeros(vocab, dtype=torch.bool, device=self._device)
                self._seen[slot] = seen.index_fill_(0, upload(self._prompts[slot], self._device, torch.int64), True)  # noqa: FBT003

    @staticmethod
    def _stack(memory: dict[int, torch.Tensor], slots: Sequence[int]) -> torch.Tensor | None:
        """(slots, vocab), zero for slots without an entry; None if no slot has one."""
        some = next((memory[slot] for slot in slots if slot in memory), None)
        if some is None:
            return None
        none = torch.zeros_like(some)
        return torch.stack([memory.get(slot, none) for slot in slots])

    def _masks(self, slots: Sequence[int]) -> dict[int, bytes]:
        """Allowed tokens of the rows with a constraint, by row. Failed constraints change nothing."""
        return {
            row: mask
            for row, slot in enumerate(slots)
            if (constraint := self._constraints[slot]()) is not None and (mask := constraint.allowed())
        }

    def _mask(self, logits: torch.Tensor, masked: Sequence[tuple[int, bytes]]) -> torch.Tensor:
        """The logits (rows, vocab) with -inf for tokens that a row's mask does not allow. masked: (row, mask)."""
        vocab = logits.shape[-1]
        on_gpu = self._device.type != "cpu"
        forbidden = torch.zeros(len(logits), vocab, dtype=torch.bool, pin_memory=on_gpu)
        rows = forbidden.numpy()
        for row, mask in masked:
            allowed = np.frombuffer(mask, dtype=np.uint8)[:vocab]
            np.equal(allowed, 0, out=rows[row, : len(allowed)])
            rows[row, len(allowed) :] = True
        return logits.masked_fill(forbidden.to(self._device, non_blocking=True), -torch.inf)

    def _accept(self, slot: int, token: int) -> bool:
        """Store the token. False if the slot's constraint raised an error."""
        if self._uniforms[slot]:
            self._uniforms[slot].pop()
        if slot in self._counts:
            self._counts[slot].narrow(0, token, 1).add_(1)
        if slot in self._seen:
            self._seen[slot].narrow(0, token, 1).fill_(True)  # noqa: FBT003 - unlike an assignment, it does not wait
        if (constraint := self._constraints[slot]()) is not None:
            try:
                constraint.accept(token)
            except Exception as error:  # noqa: BLE001 - the tokens of the other slots are being stored
                log.error("constraint failed", extra=where(error))  # noqa: TRY400 - its message may quote the output
                return False
        return True

    def _score(self, logits: torch.Tensor, slots: Sequence[int], chosen: torch.Tensor) -> dict[int, Score]:
        """Scores by slot, of the rows whose request has `top_logprobs`. chosen: (slots,) on the device."""
        requested = [(row, top) for row, slot in enumerate(slots) if (top := self._tops[slot]) is not None]
        if not requested:
            return {}
        rows, tops = zip(*requested, strict=True)
        if len(rows) < len(slots):
            index = upload(rows, self._device)
            logits, chosen = logits[index], chosen[index]
        return dict(zip((slots[row] for row in rows), score_tokens(logits, chosen, tops), strict=True))


def _load_kernel(logits: torch.Tensor, parameters: torch.Tensor) -> Callable[..., torch.Tensor] | None:
    """Compile the Triton kernel for logits of this shape. None where Triton or its C compiler is missing."""
    try:
        from chatscale_server.engine.kernels.sampling import sample

        sample(logits, torch.zeros(len(logits), 2, dtype=torch.float64, device=logits.device), parameters).tolist()
    except Exception as error:  # noqa: BLE001 - Triton raises any error without a compiler; torch does the same slower
        log.warning("sampling kernel unavailable", extra=where(error))
        return None
    return sample


def _adjusts(rule: Sampling) -> bool:
    """Return whether the request changes its logits before they are sampled."""
    return bool(rule.presence_penalty or rule.frequency_penalty or rule.repetition_penalty != 1 or rule.logit_bias)


def _unconstrained() -> None:
    """Returns None, like a dead weak reference."""
