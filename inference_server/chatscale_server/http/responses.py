"""The answer bodies of both endpoints, whole and in chunks. Pure.

A choice takes the news of its ticket and gives the chunks that say them; the whole answer is all that it took.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatscale_server.engine.request import FinishReason, Score
from chatscale_server.http.logprobs import TokenBytes, chat_logprobs, text_logprobs
from chatscale_server.http.tool_calls import Call, ToolCallParser


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer; a prompt counts once, however many choices it has."""

    prompt: int
    generated: int

    def body(self) -> dict[str, int]:
        """As OpenAI names them."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.generated,
            "total_tokens": self.prompt + self.generated,
        }


@dataclass(frozen=True, slots=True)
class Head:
    """What every body of one answer begins with."""

    id: str
    model: str
    created: int
    whole_object: str
    chunk_object: str

    def whole(self, choices: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
        """The answer to a request without `stream`."""
        return {**self._fields(self.whole_object), "choices": choices, "usage": usage.body()}

    def chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        """One chunk of a stream."""
        return {**self._fields(self.chunk_object), "choices": [choice]}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The chunk after the last one, for `stream_options.include_usage`."""
        return {**self._fields(self.chunk_object), "choices": [], "usage": usage.body()}

    def _fields(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def chat_head(answer_id: str, model: str, created: int) -> Head:
    """For /v1/chat/completions."""
    return Head(answer_id, model, created, "chat.completion", "chat.completion.chunk")


def text_head(answer_id: str, model: str, created: int) -> Head:
    """For /v1/completions."""
    return Head(answer_id, model, created, "text_completion", "text_completion")


@dataclass(slots=True)
class ChatChoice:
    """One of /v1/chat/completions. `token_bytes` is given if scores were asked for, `parser` if tools were offered."""

    index: int
    call_prefix: str
    """Makes the ids of calls unique."""
    token_bytes: TokenBytes | None = None
    parser: ToolCallParser | None = None
    _text: list[str] = field(default_factory=list)
    _scores: list[Score] = field(default_factory=list)
    _calls: list[dict[str, Any]] = field(default_factory=list)
    _finish: str | None = None

    def opening(self) -> dict[str, Any] | None:
        """The first chunk: who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def take(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> list[dict[str, Any]]:
        """News for the whole answer; what they add to the message."""
        self._scores += scores
        deltas = [self._delta(part) for part in self._parts(text, finish)]
        if finish is not None:
            self._finish = "tool_calls" if self._calls and finish is FinishReason.STOP else str(finish)
        return deltas

    def feed(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> list[dict[str, Any]]:
        """Take news; the chunks that say them."""
        deltas = self.take(text, scores, finish)
        if scores and not deltas:
            deltas = [{"content": ""}]
        chunks = [self._chunk(delta) for delta in deltas]
        if scores and self.token_bytes:
            chunks[0]["logprobs"] = chat_logprobs(scores, self.token_bytes)
        if finish is not None:
            chunks.append({**self._chunk({}), "finish_reason": self._finish})
        return chunks

    def whole(self) -> dict[str, Any]:
        """All that it took."""
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._calls:
            calls = [{key: value for key, value in call.items() if key != "index"} for call in self._calls]
            message |= {"content": text or None, "tool_calls": calls}
        logprobs = chat_logprobs(self._scores, self.token_bytes) if self.token_bytes else None
        return {"index": self.index, "message": message, "logprobs": logprobs, "finish_reason": self._finish}

    def _parts(self, text: str, finish: FinishReason | None) -> list[str | Call]:
        if self.parser is None:
            return [text] if text else []
        return self.parser.push(text) + (self.parser.end() if finish is not None else [])

    def _delta(self, part: str | Call) -> dict[str, Any]:
        if isinstance(part, str):
            self._text.append(part)
            return {"content": part}
        at = len(self._calls)
        function = {"name": part.name, "arguments": part.arguments}
        self._calls.append(
            {"index": at, "id": f"call_{self.call_prefix}{at}", "type": "function", "function": function}
        )
        return {"tool_calls": self._calls[-1:]}

    def _chunk(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": None}


@dataclass(slots=True)
class TextChoice:
    """One of /v1/completions; `echo` is the prompt's text, if it was asked for."""

    index: int
    token_bytes: TokenBytes | None = None
    echo: str = ""
    _text: list[str] = field(default_factory=list)
    _scores: list[Score] = field(default_factory=list)
    _finish: str | None = None

    def opening(self) -> dict[str, Any] | None:
        """The prompt, if it was asked for."""
        return self._body(self.echo) if self.echo else None

    def take(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> None:
        """News for the whole answer."""
        self._text.append(text)
        self._scores += scores
        self._finish = str(finish) if finish is not None else None

    def feed(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> list[dict[str, Any]]:
        """Take news; the chunks that say them."""
        self.take(text, scores, finish)
        chunks = [self._body(text, self._logprobs(scores) if scores else None)] if text or scores else []
        if finish is not None:
            chunks.append({**self._body(""), "finish_reason": self._finish})
        return chunks

    def whole(self) -> dict[str, Any]:
        """All that it took."""
        body = self._body(self.echo + "".join(self._text), self._logprobs(self._scores))
        return {**body, "finish_reason": self._finish}

    def _logprobs(self, scores: Sequence[Score]) -> dict[str, Any] | None:
        return text_logprobs(scores, self.token_bytes, len(self.echo)) if self.token_bytes else None

    def _body(self, text: str, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": None}


def model_list(model: str, created: int, max_model_len: int | None) -> dict[str, Any]:
    """GET /v1/models: the one model of this replica; its context length as vLLM reports it, once it is known."""
    entry: dict[str, Any] = {"id": model, "object": "model", "created": created, "owned_by": "chatscale"}
    if max_model_len is not None:
        entry["max_model_len"] = max_model_len
    return {"object": "list", "data": [entry]}
