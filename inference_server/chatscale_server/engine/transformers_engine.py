"""The Transformers engine: executes the scheduler's plans with a real model.

torch and transformers are imported in `load`, in the engine's thread: probes answer from the start, and a server with
the Simulated engine never imports them.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from chatscale_contract.server.environment import ToolFormat
from chatscale_server.engine import grammar
from chatscale_server.engine.detokenize import Decoder
from chatscale_server.engine.output_form import Form
from chatscale_server.engine.protocol import NO_VARIABLES, ChatMessage, Engine, ModelInfo, PhaseSink, SchemaError
from chatscale_server.engine.request import Constraint, Request, Sampling, Score
from chatscale_server.engine.scheduler import Chunk, StepPlan
from chatscale_server.engine.scheduler import Sequence as Running
from chatscale_server.engine.tokenizer import Tokenizer
from chatscale_server.engine.weights import find_model
from chatscale_server.settings import Settings

FULL_STEPS: Final = 3
"""Full steps to measure on a GPU. The fastest one gives the throughput."""

if TYPE_CHECKING:
    from chatscale_server.engine.model import SlotModel
    from chatscale_server.engine.slot_sampler import SlotSampler


class TransformersEngine(Engine):
    """See the module."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.perf_counter) -> None:
        self._settings = settings
        self._clock = clock
        self._model: SlotModel
        self._sampler: SlotSampler
        self._tokenizer: Tokenizer

    @override
    def load(self, phase: PhaseSink) -> ModelInfo:
        began = time.monotonic()
        # libgomp reads it when torch is loaded. A thread that spins at a barrier blocks its partner on a shared core:
        # on two busy cores the prefill of 97 tokens took 6.4 s spinning, 0.3 s sleeping. On idle cores both are equal.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from transformers.utils import logging as transformers_logging

        from chatscale_server.engine import decode_speed, loading, slot_sampler

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
        self._model = loading.warm_up(self._model, plan)
        slots = self._model.slots
        self._sampler = slot_sampler.SlotSampler(slots, plan.device)
        if plan.device.type == "cpu":
            cost = loading.measure_prefill(self._model, plan)
            tokens_per_step, burst_factor = cost.step_tokens, cost.burst_factor
            max_tokens_per_second = cost.tokens_per_second
        else:
            tokens_per_step, burst_factor = loading.CUDA_TOKENS_PER_STEP, 1
            max_tokens_per_second = self._measure_rate(tokens_per_step, plan.max_model_len)
        decode_step_s = decode_speed.measure_decode(self._model)
        phase("warm_up", time.monotonic() - began)
        return ModelInfo(
            max_model_len=plan.max_model_len,
            kv_capacity_tokens=slots * plan.max_model_len,
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
        return self._tokenizer.encode(text)

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
        import torch

        from chatscale_server.engine.model import group_chunks

        slots = [sequence.slot for sequence in plan.decodes]
        logits = []
        if plan.decodes:
            positions = [sequence.held_tokens for sequence in plan.decodes]
            logits.append(self._model.decode(slots, self._sampler.last_tokens(slots), positions))
        for group in group_chunks(plan.chunks, self._model.pass_tokens):
            found = self._model.prefill(group)
            complete = [row for row, chunk in enumerate(group) if chunk.last]
            if complete:
                logits.append(found[complete])
                slots += [group[row].sequence.slot for row in complete]
        if not slots:
            return {}
        # Once for all rows, after everything was computed: a step that fails before has advanced no sampling state.
        return self._sampler.choose(logits[0] if len(logits) == 1 else torch.cat(logits), slots)

    def _measure_rate(self, tokens: int, max_model_len: int) -> float:
        """Tokens per second of a full step; the fastest run counts, because other load only makes a step slower."""
        plan = full_step(tokens, self._model.slots, max_model_len)
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


def full_step(tokens: int, slots: int, max_model_len: int) -> StepPlan:
    """A plan that prefills `tokens` prompt tokens in as few slots as possible; fewer if the slots cannot hold them."""
    chunks = []
    for slot in range(slots):
        size = min(tokens, max_model_len - 1)
        if size == 0:
            break
        request = Request(id="probe", prompt=(1,) * size, max_tokens=1, sampling=Sampling(temperature=0.0))
        chunks.append(Chunk(Running(request, slot), 0, size))
        tokens -= size
    return StepPlan(started=tuple(chunk.sequence for chunk in chunks), chunks=tuple(chunks))
