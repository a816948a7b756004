"""Handlers of the API endpoints: completions, models, tokenization. They only connect the other modules."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.openai.models import model_list, model_object
from chatscale_contract.server.environment import ToolFormat
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import Request
from chatscale_server.http.chat_schema import ChatBody, Messages, ReasoningEffort
from chatscale_server.http.generation import CONTEXT_LENGTH_EXCEEDED, RequestContext, check_count, plan_requests
from chatscale_server.http.message_parser import MessageParser, build_message_parser
from chatscale_server.http.output_rules import ResponseConstraint, arguments_schema, chat_constraint, text_constraint
from chatscale_server.http.preparation import RequestPreparation, SchemaCompiler
from chatscale_server.http.response_writer import PendingResponse, write_complete, write_stream
from chatscale_server.http.responses import (
    ChatChoice,
    ResponseEnvelope,
    TextChoice,
    chat_envelope,
    text_envelope,
)
from chatscale_server.http.schema import (
    MAX_PROMPT_TOKENS,
    CompletionBody,
    GenerationBody,
    JsonObject,
    Label,
    Strict,
    Text,
    Token,
    invalid_combination,
    parse_request,
)
from chatscale_server.http.tool_calls import hermes, qwen3_coder
from chatscale_server.http.tool_calls.formats import call_id
from chatscale_server.http.tool_schema import Tools
from chatscale_server.http.tracing import RequestSpan, Tracing
from chatscale_server.http.transport import off_loop

CALL_ENDS: Final = {ToolFormat.HERMES: (hermes.CLOSE,), ToolFormat.QWEN3_CODER: (qwen3_coder.CLOSE,)}
"""Text at the end of a call. Other formats have none."""
COMPLETION_MAX_TOKENS: Final = 16
"""OpenAI's default for /v1/completions."""


@dataclass(frozen=True, slots=True)
class CompletionHandlers:
    """Handlers of /v1/chat/completions, /v1/completions and /v1/models."""

    preparation: RequestPreparation
    schemas: SchemaCompiler
    created: int
    """Unix time of the process start; the model's `created`."""
    tracing: Tracing | None = None

    async def models(self, _request: web.Request) -> web.Response:
        """GET /v1/models."""
        return web.json_response(model_list([self._model()]))

    async def model(self, http: web.Request) -> web.Response:
        """GET /v1/models/{name}, where the name may contain slashes."""
        self.preparation.check_name(http.match_info["name"])
        return web.json_response(self._model())

    def _model(self) -> dict[str, Any]:
        info = self.preparation.bridge.info
        return model_object(
            self.preparation.served_name, self.created, max_model_len=info.max_model_len if info else None
        )

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        async with self.preparation.lifecycle.serving():
            arrived_s = self._check_open()
            async with self.preparation.read_body(http) as raw:
                body = parse_request(ChatBody, raw)
                info = self.preparation.find_model(body.model)
                count = check_count(body, 1)
                prompt = await self.preparation.encode_chat(body, info)
            inside = self.preparation.begins_inside(prompt, info)
            required = chat_constraint(body, info, inside=inside)
            parsers = [_message_parser(body, info, inside=inside) for _ in range(count)]
            context = RequestContext(
                response_id=f"chatcmpl-{uuid.uuid4().hex}",
                arrived_s=arrived_s,
                prompt_param="messages",
                default_max_tokens=info.default_max_tokens or info.max_model_len,
                top_logprobs=body.scored_alternatives,
                more_stops=CALL_ENDS.get(info.tool_format, ()) if body.one_call else (),
                marks=parsers[0] is not None,
                constraints=await self.schemas.compile(required, count) if required is not None else (),
            )
            requests = self._plan(body, [prompt], context, info)
            choices = [
                self._chat_choice(body, info, index, request, parser)
                for index, (request, parser) in enumerate(zip(requests, parsers, strict=True))
            ]
            envelope = chat_envelope(context.response_id, self.preparation.served_name, int(time.time()))
            return await self._respond(http, body, requests, envelope, choices, required)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        async with self.preparation.lifecycle.serving():
            arrived_s = self._check_open()
            async with self.preparation.read_body(http) as raw:
                body = parse_request(CompletionBody, raw)
                info = self.preparation.find_model(body.model)
                count = check_count(body, len(body.prompts))
                prompts = [await self.preparation.encode(prompt) for prompt in body.prompts]
            required = text_constraint(body)
            if required is not None and not info.takes_schemas:
                reason = f"{required.param}: this server does not support structured output"
                raise bad_request(reason, param=required.param, code="unsupported_value")
            context = RequestContext(
                response_id=f"cmpl-{uuid.uuid4().hex}",
                arrived_s=arrived_s,
                prompt_param="prompt",
                default_max_tokens=COMPLETION_MAX_TOKENS,
                top_logprobs=body.logprobs,
                constraints=await self.schemas.compile(required, count) if required is not None else (),
            )
            requests = self._plan(body, prompts, context, info)
            choices = [self._text_choice(body, index) for index in range(len(requests))]
            envelope = text_envelope(context.response_id, self.preparation.served_name, int(time.time()))
            return await self._respond(http, body, requests, envelope, choices, required)

    def _chat_choice(
        self, body: ChatBody, info: ModelInfo, index: int, request: Request, parser: MessageParser | None
    ) -> ChatChoice:
        prefix = request.id.removeprefix("chatcmpl-").replace(".", "")
        return ChatChoice(
            index,
            lambda at: call_id(info.tool_format, prefix, at),
            self.preparation.engine.token_bytes if body.logprobs else None,
            parser,
        )

    def _text_choice(self, body: CompletionBody, index: int) -> TextChoice:
        prompt = body.prompts[index // body.choices_per_prompt] if body.echo else ""
        return TextChoice(
            index,
            self.preparation.engine.token_bytes if body.logprobs is not None else None,
            prompt if isinstance(prompt, str) else self.preparation.engine.decode(prompt),
        )

    def _check_open(self) -> float:
        """Reject before the body is read, where that is certain; the time of arrival."""
        self.preparation.lifecycle.check_open()
        self.preparation.bridge.check_room()
        return self.preparation.bridge.clock()

    def _plan(
        self, body: GenerationBody, prompts: list[list[int]], context: RequestContext, info: ModelInfo
    ) -> list[Request]:
        try:
            return plan_requests(body, prompts, context, info)
        except ApiError as error:
            if error.code == CONTEXT_LENGTH_EXCEEDED:
                self.preparation.bridge.counts.rejected[RejectReason.TOO_LONG] += 1
            raise

    async def _respond(
        self, http: web.Request, body: GenerationBody, requests: list[Request], envelope: ResponseEnvelope,
        choices: Sequence[ChatChoice | TextChoice], required: ResponseConstraint | None,
    ) -> web.StreamResponse:  # fmt: skip
        self.preparation.lifecycle.check_open()
        in_flight = self.preparation.bridge.submit(requests, required.param if required else None)
        prompt_tokens = sum(len(request.prompt) for request in requests[:: body.choices_per_prompt])
        response = PendingResponse(envelope, choices, in_flight, prompt_tokens, body.choices_per_prompt)
        try:
            if body.stream:
                return await write_stream(http, response, include_usage=body.include_usage)
            return await write_complete(response)
        finally:
            # After a disconnect, a failed write or a shutdown nobody reads the output any more.
            self.preparation.bridge.abandon(in_flight)
            if self.tracing:
                operation = "chat" if isinstance(body, ChatBody) else "text_completion"
                span = RequestSpan(operation, self.preparation.served_name, envelope.id, prompt_tokens)
                self.tracing.record(http.headers, span, in_flight)


def _message_parser(body: ChatBody, info: ModelInfo, *, inside: bool) -> MessageParser | None:
    functions = {tool.function.name: arguments_schema(tool) for tool in body.callable_tools}
    return build_message_parser(
        info.tool_format, info.reasoning_format, functions, inside=inside, one_call=body.one_call
    )  # fmt: skip


class TokenizeBody(Strict):
    """The body of POST /tokenize: either `prompt` or `messages`."""

    model: Label | None = None
    prompt: Text | None = None
    messages: Messages | None = None
    tools: Tools | None = None
    add_special_tokens: Literal[True] | None = None
    """Always true, as for generation requests."""
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: JsonObject | None = None
    reasoning_effort: ReasoningEffort | None = None
    """All four as in `ChatBody`."""
    return_token_strs: bool | None = None

    @override
    def check(self) -> None:
        if (self.prompt is None) == (self.messages is None):
            raise invalid_combination("prompt", "or messages is required, but not both")
        if self.prompt is None:
            return
        if self.tools:
            raise invalid_combination("tools", "require messages")
        if self.add_generation_prompt is False:
            raise invalid_combination("add_generation_prompt", "requires messages")
        for name in ("continue_final_message", "chat_template_kwargs", "reasoning_effort"):
            if getattr(self, name):
                raise invalid_combination(name, "requires messages")

    def as_chat(self) -> ChatBody:
        """The chat request with the same prompt. Raises ApiError."""
        chat = ChatBody.model_construct(
            model=self.model or "", messages=self.messages or [], tools=self.tools,
            add_generation_prompt=self.add_generation_prompt, continue_final_message=self.continue_final_message,
            chat_template_kwargs=self.chat_template_kwargs, reasoning_effort=self.reasoning_effort,
        )  # fmt: skip
        chat.check()
        return chat


class DetokenizeBody(Strict):
    """The body of POST /detokenize."""

    model: Label | None = None
    tokens: Annotated[list[Token], Field(max_length=MAX_PROMPT_TOKENS, fail_fast=True)]


@dataclass(frozen=True, slots=True)
class TokenizationHandlers:
    """Handlers of /tokenize and /detokenize, as in vLLM. They need no slot, so a full queue does not reject them."""

    preparation: RequestPreparation

    async def tokenize(self, http: web.Request) -> web.Response:
        """POST /tokenize."""
        async with self.preparation.lifecycle.serving():
            self.preparation.lifecycle.check_open()
            async with self.preparation.read_body(http) as raw:
                body = parse_request(TokenizeBody, raw)
                info = self.preparation.find_model(body.model)
                if body.prompt is not None:
                    tokens = await self.preparation.encode(body.prompt)
                else:
                    tokens = await self.preparation.encode_chat(body.as_chat(), info)
                with_strings = body.return_token_strs or False
                text = await off_loop(
                    lambda: self._response_body(tokens, info.max_model_len, with_strings=with_strings), len(tokens)
                )
            return web.json_response(text=text)

    def _response_body(self, tokens: list[int], max_model_len: int, *, with_strings: bool) -> str:
        token_bytes = self.preparation.engine.token_bytes
        return json.dumps(
            {
                "count": len(tokens),
                "max_model_len": max_model_len,
                "tokens": tokens,
                "token_strs": [token_bytes(token).decode(errors="replace") for token in tokens]
                if with_strings
                else None,
            }
        )

    async def detokenize(self, http: web.Request) -> web.Response:
        """POST /detokenize."""
        async with self.preparation.lifecycle.serving():
            self.preparation.lifecycle.check_open()
            async with self.preparation.read_body(http) as raw:
                body = parse_request(DetokenizeBody, raw)
                info = self.preparation.find_model(body.model)
                if max(body.tokens, default=0) >= info.vocab_size:
                    raise bad_request(f"tokens: token ids must be below {info.vocab_size}", param="tokens")
                text = await off_loop(lambda: self.preparation.engine.decode(body.tokens), len(body.tokens))
            return web.json_response({"prompt": text})
