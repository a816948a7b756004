"""/v1/chat/completions, /v1/completions and /v1/models: from a request body to tickets to an answer."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import Request
from chatscale_server.http.answers import Answer, write_stream, write_whole
from chatscale_server.http.chat_schema import ChatRequest
from chatscale_server.http.completion_schema import CompletionRequest
from chatscale_server.http.generation import CONTEXT_LENGTH_EXCEEDED, Wish, check_count, plan_requests
from chatscale_server.http.intake import Intake
from chatscale_server.http.responses import ChatChoice, Head, TextChoice, chat_head, model_list, text_head
from chatscale_server.http.schema import Generation, parse_request
from chatscale_server.http.structured import Schemas
from chatscale_server.http.tool_calls import ToolCallParser
from chatscale_server.http.tracing import Asked, Tracing

COMPLETION_MAX_TOKENS: Final = 16
"""OpenAI's default for /v1/completions."""


@dataclass(frozen=True, slots=True)
class Completions:
    """The handlers; their collaborators are passed in."""

    intake: Intake
    schemas: Schemas
    created: int
    """Unix time of the process start; the model's `created`."""
    tracing: Tracing | None = None

    async def models(self, _request: web.Request) -> web.Response:
        """GET /v1/models."""
        info = self.intake.bridge.info
        return web.json_response(
            model_list(self.intake.served_name, self.created, info.max_model_len if info else None)
        )

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        async with self.intake.lifecycle.serving():
            arrived_s = self._check_open()
            async with self.intake.body(http) as body:
                asked = parse_request(ChatRequest, body)
                info = self.intake.model(asked.model)
                count = check_count(asked, 1, self.intake.bridge.slots, "messages")
                prompt = await self.intake.encode_chat(asked, info)
            form = asked.form
            wish = Wish(
                answer_id=f"chatcmpl-{uuid.uuid4().hex}",
                arrived_s=arrived_s,
                prompt_param="messages",
                default_max_tokens=info.default_max_tokens or info.max_model_len,
                top_logprobs=asked.scored_alternatives,
                constraints=await self.schemas.constraints(form, count) if form is not None else (),
            )
            requests = self._plan(asked, [prompt], wish, info)
            choices = [self._chat_choice(asked, index, request) for index, request in enumerate(requests)]
            head = chat_head(wish.answer_id, self.intake.served_name, int(time.time()))
            return await self._answer(http, asked, requests, head, choices)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        async with self.intake.lifecycle.serving():
            arrived_s = self._check_open()
            async with self.intake.body(http) as body:
                asked = parse_request(CompletionRequest, body)
                info = self.intake.model(asked.model)
                check_count(asked, len(asked.prompts), self.intake.bridge.slots, "prompt")
                prompts = [await self.intake.encode(prompt) for prompt in asked.prompts]
            wish = Wish(
                answer_id=f"cmpl-{uuid.uuid4().hex}",
                arrived_s=arrived_s,
                prompt_param="prompt",
                default_max_tokens=COMPLETION_MAX_TOKENS,
                top_logprobs=asked.logprobs,
            )
            requests = self._plan(asked, prompts, wish, info)
            choices = [self._text_choice(asked, index) for index in range(len(requests))]
            head = text_head(wish.answer_id, self.intake.served_name, int(time.time()))
            return await self._answer(http, asked, requests, head, choices)

    def _chat_choice(self, asked: ChatRequest, index: int, request: Request) -> ChatChoice:
        return ChatChoice(
            index,
            request.id.removeprefix("chatcmpl-").replace(".", ""),
            self.intake.engine.token_bytes if asked.logprobs else None,
            ToolCallParser() if asked.offered_tools else None,
        )

    def _text_choice(self, asked: CompletionRequest, index: int) -> TextChoice:
        prompt = asked.prompts[index // asked.choices_per_prompt] if asked.echo else ""
        return TextChoice(
            index,
            self.intake.engine.token_bytes if asked.logprobs is not None else None,
            prompt if isinstance(prompt, str) else self.intake.engine.decode(prompt),
        )

    def _check_open(self) -> float:
        """Refuse at the door, before the body is read; gives the time of arrival."""
        self.intake.lifecycle.check_open()
        self.intake.bridge.check_room()
        return self.intake.bridge.clock()

    def _plan(self, asked: Generation, prompts: list[list[int]], wish: Wish, info: ModelInfo) -> list[Request]:
        try:
            return plan_requests(asked, prompts, wish, info, self.intake.bridge.slots)
        except ApiError as error:
            if error.code == CONTEXT_LENGTH_EXCEEDED:
                self.intake.bridge.counts.rejected[RejectReason.TOO_LONG] += 1
            raise

    async def _answer(
        self, http: web.Request, asked: Generation, requests: list[Request], head: Head,
        choices: Sequence[ChatChoice | TextChoice],
    ) -> web.StreamResponse:  # fmt: skip
        self.intake.lifecycle.check_open()
        form = asked.form if isinstance(asked, ChatRequest) else None
        tickets = self.intake.bridge.submit(requests, form.param if form else None)
        prompt_tokens = sum(len(request.prompt) for request in requests[:: asked.choices_per_prompt])
        answer = Answer(head, choices, tickets, prompt_tokens)
        try:
            if asked.stream:
                return await write_stream(http, answer, include_usage=asked.include_usage)
            return await write_whole(answer)
        finally:
            # Cancelled by a disconnect, a failed write or the server's end: whatever it was, nobody reads on.
            self.intake.bridge.abandon(tickets)
            if self.tracing:
                operation = "chat" if isinstance(asked, ChatRequest) else "text_completion"
                self.tracing.record(
                    http.headers, Asked(operation, self.intake.served_name, head.id, prompt_tokens), tickets
                )
