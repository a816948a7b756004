"""Handlers of chat completions and models."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import hdrs, web

from chatscale_assistant.conversation.messages import build_conversation, read_messages
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Customer
from chatscale_assistant.domain.interfaces import Responder
from chatscale_assistant.http.admission import Admission
from chatscale_assistant.http.bodies import read_object
from chatscale_assistant.http.boundary import RECORD
from chatscale_assistant.http.chat_response import Envelope, complete_body, stream_events, usage_of
from chatscale_assistant.http.chat_schema import ChatRequest, parse_chat_request
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.record import RequestRecord
from chatscale_contract.assistant.endpoints import CUSTOMER_TOKEN_HEADER, FROM_ASSISTANT_HEADER
from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.openai.models import model_list, model_object
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, MODELS_PATH

Identify = Callable[[str], Awaitable[Customer | None]]
"""From the shop's token to its customer; None for an invalid one. Never raises for a bad token."""
STREAM_HEADERS: Final = {hdrs.CONTENT_TYPE: sse.CONTENT_TYPE, hdrs.CACHE_CONTROL: "no-cache", "X-Accel-Buffering": "no"}


def utc_now() -> datetime:
    """The time of a request, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


@dataclass(frozen=True, slots=True)
class ChatHandlers:
    """Translates between OpenAI's API and the responder."""

    responder: Responder
    identify: Identify
    admission: Admission
    options: HttpOptions
    name: str
    """Of the ShopAssistant; the value of `model`."""
    namespace: str = ""
    max_characters: int = 4000
    """Of one message of a customer."""
    now: Callable[[], datetime] = utc_now
    clock: Callable[[], float] = time.monotonic
    created: int = field(default_factory=lambda: int(time.time()))

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        record = http[RECORD]
        record.route = CHAT_COMPLETIONS_PATH
        if FROM_ASSISTANT_HEADER in http.headers:
            text = "a ShopAssistant cannot be the chat model of a ShopAssistant: name a ChatModel in spec.model"
            raise ApiError(400, text, code="assistant_as_model", retryable=False)
        request = parse_chat_request(await read_object(http, self.options, self.options.max_body_bytes))
        self._check_model(request.model)
        messages = read_messages(
            request.messages, max_messages=self.options.max_messages, max_characters=self.max_characters
        )
        now, arrived_s = self.now(), self.clock()
        token = http.headers.get(CUSTOMER_TOKEN_HEADER, "") or request.extras.customer_token
        customer = await self.identify(token) if token else None
        conversation = build_conversation(messages, request.extras, customer=customer, now=now)
        async with self.admission.place():
            record.waited_s = self.clock() - arrived_s
            answer = await self.responder.answer(conversation)
        _note(record, answer)
        usage = usage_of(sum(len(message.text.encode()) for message in messages), answer)
        envelope = Envelope(f"chatcmpl-{record.request_id}", self.name, int(now.timestamp()))
        if request.stream:
            return await self._stream(http, request, envelope, answer, usage)
        return web.json_response(complete_body(envelope, answer, usage), dumps=sse.encode_json)

    async def list_models(self, http: web.Request) -> web.Response:
        """GET /v1/models."""
        http[RECORD].route = MODELS_PATH
        return web.json_response(model_list([model_object(self.name, self.created)]))

    async def get_model(self, http: web.Request) -> web.Response:
        """GET /v1/models/NAME."""
        http[RECORD].route = MODELS_PATH
        self._check_model(http.match_info["id"])
        return web.json_response(model_object(self.name, self.created))

    async def _stream(
        self, http: web.Request, request: ChatRequest, envelope: Envelope, answer: Answer, usage: dict[str, Any]
    ) -> web.StreamResponse:
        http[RECORD].streamed = True
        response = web.StreamResponse(headers=STREAM_HEADERS)
        await response.prepare(http)
        for event in stream_events(envelope, answer, usage, include_usage=request.include_usage):
            await response.write(event)
        await response.write_eof()
        return response

    def _check_model(self, model: str) -> None:
        if model not in {"", self.name, f"{self.namespace}/{self.name}"}:
            raise ApiError(
                404, f"this server has one model, {self.name}", param="model", code="model_not_found", retryable=False
            )


def _note(record: RequestRecord, answer: Answer) -> None:
    """What the access log has of an answer."""
    record.rung, record.language = str(answer.rung), str(answer.language)
    record.hand_over, record.index = str(answer.hand_over), answer.index
