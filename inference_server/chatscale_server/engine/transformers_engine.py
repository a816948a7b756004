"""The Transformers engine: executes the scheduler's plans with a real model.

torch and transformers are imported in `load`, in the engine's thread: probes answer from the start, and a server with
the Simulated engine never imports them.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from chatscale_contract.server.environment import ToolFormat
from chatscale_server.engine import grammar
from chatscale_server.engine.detokenize import Decoder
from chatscale_server.engine.encoding import Task
from chatscale_server.engine.output_form import Form
from chatscale_server.engine.protocol import NO_VARIABLES, ChatMessage, Engine, ModelInfo, PhaseSink, SchemaError
from chatscale_server.engine.request import Constraint, Request, Sampling, Score
from chatscale_server.engine.sequence import Chunk, StepPlan
from chatscale_server.engine.sequence import Sequence as Running
from chatscale_server.engine.tokenizer import Tokenizer
from chatscale_server.engine.weights import find_model
from chatscale_server.settings import Settings

FULL_STEPS: Final = 3
"""Full steps to measure on a GPU. The fastest one gives the throughput."""

if TYPE_CHECKING:
    import torch

    from chatscale_server.engine.encoder import Encoder
    from chatscale_server.engine.model import Found, SlotModel
    from chatscale_server.engine.packed import Row
    from chatscale_server.engine.slot_sampler import SlotSampler


class TransformersEngine(Engine):
    """See the module."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.perf_counter) -> None:
        self._settings = settings
        self._clock = clock
        self._model: SlotModel
        self._sampler: SlotSampler
        self._tokenizer: Tokenizer
        self._ahead: Ahead | None = None
        self._encoder: Encoder | None = None
        """Set if the model is an encoder. It then has neither `_model` nor `_sampler`."""

    @override
    def load(self, phase: PhaseSink) -> ModelInfo:
        began = time.monotonic()
        # libgomp reads it when torch is loaded. A thread that spins at a barrier blocks its partner on a shared core:
        # on two busy cores the prefill of 97 tokens took 6.4 s spinning, 0.3 s sleeping. On idle cores both are equal.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from transformers.utils import logging as transformers_logging

        from chatscale_server.engine import checkpoint, decode_speed, loading, slot_sampler, warm_up

        transformers_logging.disable_progress_bar()
        # Its own handler writes text to standard error. The process logs JSON lines.
        transformers_logging.disable_default_handler()
        transformers_logging.enable_propagation()
        torch.set_num_threads(self._settings.cpu_threads)
        phase("import", time.monotonic() - began)

        began = time.monotonic()
        folder = find_model(
            self._settings.model_uri, self._settings.model_revision,
            pickled=self._settings.allow_pickled_weights, code=self._settings.trust_remote_code,
        )  # fmt: skip
        phase("download", time.monotonic() - began)

        config = checkpoint.read_config(folder, trust_remote_code=self._settings.trust_remote_code)
        if checkpoint.task_of(folder, config) is not Task.GENERATE:
            from chatscale_server.engine import encoder_loading

            loaded = encoder_loading.load_encoder(folder, config, self._settings, phase)
            self._encoder, self._tokenizer = loaded.encoder, loaded.tokenizer
            return loaded.info

        began = time.monotonic()
        plan = loading.plan_load(folder, self._settings)
        self._tokenizer = Tokenizer(
            folder, self._settings.chat_template, trust_remote_code=self._settings.trust_remote_code,
            tool_format=self._settings.tool_format, reasoning_format=self._settings.reasoning_format,
        )  # fmt: skip
        self._model = loading.load_model(plan)
        self._vocab_size: int = plan.config.vocab_size
        self._end_tokens = loading.end_tokens(plan, self._tokenizer.end_token)
        # During loading, because it blocks all threads for 0.3 s.
        self._grammars = grammar.grammars_for(self._tokenizer.backend, self._vocab_size, self._end_tokens)
        phase("load", time.monotonic() - began)

        began = time.monotonic()
        self._model = warm_up.warm_up(self._model, plan)
        slots = self._model.slots
        self._sampler = slot_sampler.SlotSampler(slots, plan.device)
        if plan.device.type == "cpu":
            cost = warm_up.measure_prefill(self._model, plan)
            tokens_per_step, burst_factor = cost.step_tokens, cost.burst_factor
            max_tokens_per_second = cost.tokens_per_second
        else:
            tokens_per_step, burst_factor = loading.CUDA_TOKENS_PER_STEP, loading.CUDA_BURST_FACTOR
            max_tokens_per_second = self._measure_rate(tokens_per_step, plan.max_model_len)
        decode_step_s = decode_speed.measure_decode(self._model)
        phase("warm_up", time.monotonic() - began)
        return ModelInfo(
            max_model_len=plan.max_model_len,
            kv_capacity_tokens=self._model.cache.capacity_tokens,
            page_tokens=self._model.cache.page_tokens if self._model.cache.pages else None,
            tokens_per_step=tokens_per_step,
            max_tokens_per_second=max_tokens_per_second,
            slots=slots,
            decode_step_s=decode_step_s,
            reuses_prefixes=True,
            burst_factor=burst_factor,
            vocab_size=self._vocab_size,
            end_tokens=self._end_tokens,
            takes_tools=self._tokenizer.tool_format is not ToolFormat.NONE,
            tool_format=self._tokenizer.tool_format,
            reasoning_format=self._tokenizer.reasoning_format,
            template_variables=self._tokenizer.template_variables,
            max_beams=self._settings.max_beams,
            takes_schemas=self._grammars is not None,
        )

    @override
    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text if self._encoder is None else self._encoder.text(text))

    @override
    def embed(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        if self._encoder is None:
            raise RuntimeError("the model is no encoder")
        return self._encoder.compute(inputs)

    @override
    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = NO_VARIABLES,
    ) -> list[int]:
        return self._tokenizer.encode_chat(messages, tools, variables)

    @override
    def decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens)

    @override
    def token_bytes(self, token: int) -> bytes:
        return self._tokenizer.token_bytes(token)

    @override
    def constraint(self, form: Form) -> Constraint:
        if self._grammars is None:
            raise SchemaError("this server does not support structured output")
        return self._grammars.constraint(form)

    @override
    def decoder(self, *, marks: bool = False) -> Decoder:
        return self._tokenizer.decoder(marks=marks)

    @override
    def prepare(self, plan: StepPlan) -> None:
        for sequence in plan.started:
            self._sampler.start(sequence.slot, sequence.request)
        for copy in plan.copies:
            self._model.cache.copy(copy.source, copy.target, copy.tokens)

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        ahead, self._ahead = self._ahead, None
        # In order of the slots: on a CPU, neighbours in the cache share one call.
        decodes = sorted(plan.decodes, key=lambda sequence: sequence.slot)
        found = self._compute(decodes, plan.chunks, ahead)
        complete = [row for row, chunk in enumerate(plan.chunks, len(decodes)) if chunk.last]
        chosen = [*range(len(decodes)), *complete]
        if not chosen:
            return {}
        sequences = [*decodes, *(plan.chunks[row - len(decodes)].sequence for row in complete)]
        logits, greedy = found.logits, found.greedy
        if len(chosen) < len(logits):
            logits, greedy = logits[chosen], None
        slots = [sequence.slot for sequence in sequences]
        # Once for all rows, after everything was computed: a step that fails before has advanced no sampling state.
        drawn = self._sampler.draw(logits, slots, greedy)
        # If prompts are left, the next step reads the weights once for them and the decodes.
        ahead = self._start_next(sequences, drawn.tokens) if len(complete) == len(plan.chunks) else None
        tokens = self._sampler.accept(drawn, slots)
        if ahead is not None:
            self._ahead = ahead.with_tokens(tokens)
        return tokens

    def _compute(self, decodes: Sequence[Running], chunks: Sequence[Chunk], ahead: "Ahead | None") -> "Found":
        """Logits of the decodes, then of the chunks."""
        import torch

        from chatscale_server.engine.model import Found
        from chatscale_server.engine.packed import Row

        prompts = [Row.of_chunk(chunk) for chunk in chunks]
        found = ahead.take(decodes) if ahead is not None else None
        if found is None:
            return self._model.forward([_decode_row(sequence) for sequence in decodes], prompts)
        if prompts:
            return Found(torch.cat([found.logits, self._model.forward((), prompts).logits]))
        return found

    def _start_next(self, sequences: Sequence[Running], drawn: "torch.Tensor") -> "Ahead | None":
        """Start the decode step after this one, before the tokens of this one are known to the CPU.

        drawn: (sequences,) int64 on the device. A sequence that ends with its token is computed in vain.
        """
        from chatscale_server.engine.packed import Row

        size = self._model.cache.page_tokens
        going = {
            sequence: at
            for at, sequence in enumerate(sequences)
            if sequence.generated + 1 < sequence.request.max_tokens
            and len(sequence.pages) * size > len(sequence.tokens)
        }
        rows = [Row(sequence.slot, (0,), len(sequence.tokens), sequence.pages) for sequence in going]
        found = self._model.decode_ahead(rows, drawn, list(going.values())) if rows else None
        if found is None:
            return None
        return Ahead({sequence: (at, len(sequence.tokens), -1) for at, sequence in enumerate(going)}, found)

    def _measure_rate(self, tokens: int, max_model_len: int) -> float:
        """Tokens per second of a full step; the fastest run counts, because other load only makes a step slower."""
        plan = full_step(tokens, self._model.slots, max_model_len, self._model.cache.page_tokens)
        self.prepare(plan)
        times_s = []
        for _ in range(FULL_STEPS):
            began_s = self._clock()
            self.step(plan)
            times_s.append(self._clock() - began_s)
        return plan.prompt_tokens / min(times_s)

    @override
    def search_beams(self, request: Request, count: int, between: Callable[[], bool]) -> list[list[int]]:
        from chatscale_server.engine import beam_search

        return beam_search.search_beams(self._model.network, request, count, self._end_tokens, between)

    @override
    def scores(self) -> Mapping[int, Score]:
        return self._sampler.scores


@dataclass(frozen=True, slots=True)
class Ahead:
    """A decode step that was started before its plan."""

    rows: Mapping[Running, tuple[int, int, int]]
    """(row, position, token) of each sequence."""
    found: "Found"

    def with_tokens(self, tokens: Mapping[int, int]) -> "Ahead":
        """The same with the tokens, by slot, that the step was computed from."""
        known = {
            sequence: (row, position, tokens.get(sequence.slot, -1))
            for sequence, (row, position, _token) in self.rows.items()
        }
        return Ahead(known, self.found)

    def take(self, decodes: Sequence[Running]) -> "Found | None":
        """The results for these sequences; None if one of them was not computed."""
        from chatscale_server.engine.model import Found

        if not decodes:
            return None
        rows = []
        for sequence in decodes:
            row, position, token = self.rows.get(sequence, (-1, -1, -1))
            if (position, token) != (sequence.held_tokens, sequence.tokens[-1]):
                return None
            rows.append(row)
        if rows == list(range(len(self.found.logits))):
            return self.found
        greedy = self.found.greedy
        return Found(self.found.logits[rows], greedy[rows] if greedy is not None else None)


def _decode_row(sequence: Running) -> "Row":
    from chatscale_server.engine.packed import Row

    return Row(sequence.slot, sequence.tokens[-1:], sequence.held_tokens, sequence.pages)


def full_step(tokens: int, slots: int, max_model_len: int, page_tokens: int) -> StepPlan:
    """A plan that prefills `tokens` prompt tokens in as few slots as possible; fewer if the slots cannot hold them."""
    chunks: list[Chunk] = []
    page = 1
    for slot in range(slots):
        size = min(tokens, max_model_len - 1)
        if size == 0:
            break
        request = Request(id="probe", prompt=(1,) * size, max_tokens=1, sampling=Sampling(temperature=0.0))
        pages = list(range(page, page - (-size // page_tokens)))
        chunks.append(Chunk(Running(request, slot, pages=pages), 0, size))
        page += len(pages)
        tokens -= size
    return StepPlan(started=tuple(chunk.sequence for chunk in chunks), chunks=tuple(chunks))
