"""The Simulated engine: a replica without a model.

Queue, slots, batches and metrics are real. The duration of each step follows a profile, and the output consists of
fixed customer service sentences. A prefix that the scheduler finds in a slot takes no time. Imports neither torch nor
transformers.
"""

import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from chatscale_contract.server.metrics import decode_batch_sizes
from chatscale_contract.server.profiles import Profile
from chatscale_contract.server.slots import profile_slots
from chatscale_server.engine.detokenize import Decoder
from chatscale_server.engine.output_form import Form
from chatscale_server.engine.protocol import NO_VARIABLES, ChatMessage, Engine, ModelInfo, PhaseSink, SchemaError
from chatscale_server.engine.request import Constraint, Request, Score
from chatscale_server.engine.sequence import StepPlan

DEFAULT_MAX_TOKENS: Final = 128
"""Output limit of a chat request without one."""
_VOCABULARY: Final = 2**31
_PIECE: Final = re.compile(r"\w{1,4}|[^\w\s]")
"""Four letters per token, punctuation separate: close to common tokenizers for English."""
_TOKENS_PER_MESSAGE: Final = 4
"""Role and delimiters of a typical chat template."""
_IMPOSSIBLE: Final = -9999.0
"""OpenAI's log-probability of an impossible token; JSON has no infinity."""

_SENTENCES: Final = (
    "Thank you for reaching out, I am happy to help you with that.",
    "I have looked at your order and it left our warehouse this morning.",
    "You can follow the parcel with the tracking link in your confirmation mail.",
    "If an item arrived damaged, please send us a photo and we will replace it at no cost.",
    "Returns are free within thirty days, and the label is in your account under Orders.",
    "The refund reaches your bank account three to five working days after we receive the parcel.",
    "Your discount code is valid until Sunday and can be used once per customer.",
    "I have noted the new delivery address, so there is nothing else you need to do.",
    "Is there anything else that I can do for you today?",
)


@dataclass(slots=True)
class _Pacer:
    """Sleeps until the end of each step. A busy engine catches up on time lost between steps, at most one step."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    due_s: float = 0.0

    def pace(self, step_s: float, *, busy: bool) -> None:
        now_s = self.clock()
        began_s = max(self.due_s, now_s - step_s) if busy else now_s
        self.due_s = began_s + step_s
        if self.due_s > now_s:
            self.sleep(self.due_s - now_s)


class _WordDecoder:
    """Each token is the index of a word."""

    def push(self, token: int) -> str:
        return _word(token)

    def flush(self) -> str:
        return ""


class SimulatedEngine(Engine):
    """See the module. Tests replace `clock` and `sleep`.

    slots: None chooses them from the profile. tpot_s: objective for the time per output token.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        slots: int | None = 1,
        tpot_s: float = 0.1,
        startup_s: float = 0.0,
        max_model_len: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._profile = profile
        self._slots = slots or profile_slots(profile, tpot_s)
        self._startup_s = startup_s
        self._max_model_len = min(max_model_len or profile.max_model_len, profile.kv_tokens)
        self._sleep = sleep
        self._pacer = _Pacer(clock, sleep)
        self._scores: dict[int, Score] = {}

    @override
    def load(self, phase: PhaseSink) -> ModelInfo:
        self._sleep(self._startup_s)
        phase("load", self._startup_s)
        return ModelInfo(
            max_model_len=self._max_model_len,
            kv_capacity_tokens=self._profile.kv_tokens,
            tokens_per_step=self._profile.tokens_per_step,
            slots=self._slots,
            max_tokens_per_second=self._profile.max_tokens_per_second,
            decode_step_s={
                size: self._profile.step_ms(size, kv_tokens=size) / 1000 for size in decode_batch_sizes(self._slots)
            },
            reuses_prefixes=True,
            vocab_size=_VOCABULARY,
            end_tokens=frozenset(),
            default_max_tokens=DEFAULT_MAX_TOKENS,
        )

    @override
    def encode(self, text: str) -> list[int]:
        return [zlib.crc32(piece.encode()) % _VOCABULARY for piece in _PIECE.findall(text)] or [0]

    @override
    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = NO_VARIABLES,
    ) -> list[int]:
        tokens: list[int] = []
        for message in messages:
            tokens += [0] * _TOKENS_PER_MESSAGE
            tokens += self.encode(message.content)
        return tokens

    @override
    def decoder(self, *, marks: bool = False) -> Decoder:
        return _WordDecoder()

    @override
    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(_word, tokens))

    @override
    def token_bytes(self, token: int) -> bytes:
        return _word(token).encode()

    @override
    def constraint(self, form: Form) -> Constraint:
        raise SchemaError("the Simulated engine does not support schemas")

    @override
    def prepare(self, plan: StepPlan) -> None:
        """There is no cache to copy."""

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        computed = len(plan.decodes) + sum(chunk.end - chunk.start for chunk in plan.chunks)
        held = sum(sequence.held_tokens for sequence in plan.decodes)
        self._pacer.pace(self._profile.step_ms(computed, held) / 1000, busy=bool(plan.decodes))
        complete = [chunk.sequence for chunk in plan.chunks if chunk.last]
        yielding = (*plan.decodes, *complete)
        tokens = {s.slot: _first_word(s.request.prompt) + s.generated for s in yielding}
        top_by_slot = {s.slot: s.request.top_logprobs for s in yielding}
        self._scores = {slot: _certain(tokens[slot], top) for slot, top in top_by_slot.items() if top is not None}
        return tokens

    @override
    def search_beams(self, request: Request, count: int, between: Callable[[], bool]) -> list[list[int]]:
        raise NotImplementedError("max_beams is 1")

    @override
    def embed(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        raise NotImplementedError("the Simulated engine generates text")

    @override
    def scores(self) -> Mapping[int, Score]:
        return self._scores


_WORDS: Final = tuple(word + " " for sentence in _SENTENCES for word in sentence.split())
_STARTS: Final = tuple(sum(len(s.split()) for s in _SENTENCES[:at]) for at in range(len(_SENTENCES)))


def _word(token: int) -> str:
    return _WORDS[token % len(_WORDS)]


def _certain(token: int, top: int) -> Score:
    """The word has probability 1, the words after it have probability 0."""
    return Score(token, 0.0, tuple((token + at, _IMPOSSIBLE if at else 0.0) for at in range(top)))


def _first_word(prompt: Sequence[int]) -> int:
    """The prompt selects the first sentence; the same prompt always selects the same one."""
    return _STARTS[sum(prompt) % len(_STARTS)]
