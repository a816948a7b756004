"""/tokenize and /detokenize, as vLLM has them: what a prompt costs before it is sent."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import override

from chatscale_contract.openai.errors import bad_request
from chatscale_server.http.chat_schema import ChatRequest, Tools
from chatscale_server.http.completion_schema import Token
from chatscale_server.http.intake import Intake
from chatscale_server.http.messages import Messages
from chatscale_server.http.off_loop import off_loop
from chatscale_server.http.schema import MAX_PROMPT_TOKENS, Label, Strict, Text, contradiction, parse_request


class TokenizeRequest(Strict):
    """The body of POST /tokenize: one of `prompt` and `messages`."""

    model: Label | None = None
    prompt: Text | None = None
    messages: Messages | None = None
    tools: Tools | None = None
    add_special_tokens: Literal[True] | None = None
    add_generation_prompt: Literal[True] | None = None
    """Both as in a request that generates."""
    return_token_strs: bool | None = None

    @override
    def check(self) -> None:
        if (self.prompt is None) == (self.messages is None):
            raise contradiction("prompt", "or messages must be given, and not both")
        if self.prompt is not None and self.tools:
            raise contradiction("tools", "belong to messages")

    def as_chat(self) -> ChatRequest:
        """The request whose prompt is asked for. Raises ApiError."""
        chat = ChatRequest.model_construct(model=self.model or "", messages=self.messages or [], tools=self.tools)
        chat.check()
        return chat


class DetokenizeRequest(Strict):
    """The body of POST /detokenize."""

    model: Label | None = None
    tokens: Annotated[list[Token], Field(max_length=MAX_PROMPT_TOKENS, fail_fast=True)]


@dataclass(frozen=True, slots=True)
class Tokenizing:
    """The handlers. They need no slot, so a full queue does not refuse them."""

    intake: Intake

    async def tokenize(self, http: web.Request) -> web.Response:
        """POST /tokenize."""
        async with self.intake.lifecycle.serving():
            self.intake.lifecycle.check_open()
            async with self.intake.body(http) as body:
                asked = parse_request(TokenizeRequest, body)
                info = self.intake.model(asked.model)
                if asked.prompt is not None:
                    tokens = await self.intake.encode(asked.prompt)
                else:
                    tokens = await self.intake.encode_chat(asked.as_chat(), info)
                spelt = asked.return_token_strs or False
                text = await off_loop(lambda: self._body(tokens, info.max_model_len, spelt=spelt), len(tokens))
            return web.json_response(text=text)

    def _body(self, tokens: list[int], max_model_len: int, *, spelt: bool) -> str:
        spell = self.intake.engine.token_bytes
        return json.dumps(
            {
                "count": len(tokens),
                "max_model_len": max_model_len,
                "tokens": tokens,
                "token_strs": [spell(token).decode(errors="replace") for token in tokens] if spelt else None,
            }
        )

    async def detokenize(self, http: web.Request) -> web.Response:
        """POST /detokenize."""
        async with self.intake.lifecycle.serving():
            self.intake.lifecycle.check_open()
            async with self.intake.body(http) as body:
                asked = parse_request(DetokenizeRequest, body)
                info = self.intake.model(asked.model)
                if max(asked.tokens, default=0) >= info.vocab_size:
                    raise bad_request(f"tokens: token ids end at {info.vocab_size - 1}", param="tokens")
                text = await off_loop(lambda: self.intake.engine.decode(asked.tokens), len(asked.tokens))
            return web.json_response({"prompt": text})
