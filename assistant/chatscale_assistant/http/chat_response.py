"""Bodies and stream events of chat completions. Pure.

An answer is complete and checked before its first byte is sent, so a stream never takes back what it said. The stream
has the answer in pieces, as clients expect it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chatscale_assistant.domain.answer import Answer
from chatscale_contract.assistant.endpoints import EXTRAS_FIELD
from chatscale_contract.assistant.extras import AnswerExtras
from chatscale_contract.openai import sse

_PIECE: Final = re.compile(r".{1,60}(?:\s+|$)|.{1,60}", re.DOTALL)
_BYTES_PER_TOKEN: Final = 4
"""A usual estimate. The assistant has no tokenizer, and most answers come from no model."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The fields around the choices, equal in all chunks of one response."""

    id: str
    model: str
    created: int
    """Unix time, seconds."""

    def fields(self, kind: str) -> dict[str, Any]:
        """kind: `chat.completion` or `chat.completion.chunk`."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def extras_of(answer: Answer) -> dict[str, Any]:
    """The object `chatscale`."""
    return AnswerExtras(
        rung=answer.rung,
        language=answer.language,
        sentiment=answer.sentiment,
        hand_over=answer.hand_over,
        citations=answer.citations,
        checks=answer.checks,
        pending=answer.pending,
        index=answer.index,
    ).model_dump(mode="json")


def usage_of(prompt_bytes: int, answer: Answer) -> dict[str, Any]:
    """`usage`, estimated from the bytes of the messages and of the answer."""
    prompt = -(-prompt_bytes // _BYTES_PER_TOKEN)
    completion = -(-len(answer.text.encode()) // _BYTES_PER_TOKEN)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def complete_body(envelope: Envelope, answer: Answer, usage: dict[str, Any]) -> dict[str, Any]:
    """The response to a request without `stream`."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        **envelope.fields("chat.completion"), "choices": [choice], "usage": usage, EXTRAS_FIELD: extras_of(answer),
    }  # fmt: skip


def stream_events(envelope: Envelope, answer: Answer, usage: dict[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """All events of a stream. The extras are in the last chunk that has a choice."""
    fields = envelope.fields("chat.completion.chunk")
    without_usage = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse.event({**fields, "choices": [choice], **without_usage, **more})

    yield chunk({"role": "assistant", "content": ""})
    for piece in _PIECE.findall(answer.text):
        yield chunk({"content": piece})
    yield chunk({}, "stop", **{EXTRAS_FIELD: extras_of(answer)})
    if include_usage:
        yield sse.event({**fields, "choices": [], "usage": usage})
    yield sse.DONE
