"""Request bodies as the schema reads them."""

import json

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.schema import CompletionBody, parse_request

INFO = ModelInfo(
    max_model_len=64, kv_capacity_tokens=64, tokens_per_step=64, max_tokens_per_second=1.0, vocab_size=100,
    end_tokens=frozenset({1}), takes_tools=True, takes_schemas=True,
)  # fmt: skip


HELLO = {"role": "user", "content": "Hello"}


TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}


CALL = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": 7}'}}


def parse_chat(**fields: object) -> ChatBody:
    return parse_request(ChatBody, json.dumps({"model": "m", "messages": [HELLO], **fields}).encode())


def parse_completion(**fields: object) -> CompletionBody:
    return parse_request(CompletionBody, json.dumps({"model": "m", "prompt": "Hello", **fields}).encode())


def refusal(parse, **fields: object) -> tuple[int, str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        parse(**fields)
    return caught.value.status, caught.value.param, caught.value.code
