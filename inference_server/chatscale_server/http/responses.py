"""Response bodies of both generating endpoints, complete or as stream chunks. Pure.

A choice collects output deltas. It returns them as chunks, or all of them as one complete choice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatscale_contract.openai.sse import encode_json
from chatscale_server.engine.request import FinishReason, Score
from chatscale_server.http.message_parser import MessageParser
from chatscale_server.http.tool_calls.events import CallArguments, CallStart, Content, Event, Reasoning

TokenBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one response. A prompt counts once, whatever its number of choices."""

    prompt: int
    generated: int
    cached: int = 0
    """Prompt tokens that were found in the cache and not computed again."""

    def body(self) -> dict[str, Any]:
        """The `usage` object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.generated,
            "total_tokens": self.prompt + self.generated,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


@dataclass(frozen=True, slots=True)
class ResponseEnvelope:
    """The fields around the choices, equal in all chunks of one response."""

    id: str
    model: str
    created: int
    """Unix time, seconds."""
    complete_object: str
    chunk_object: str

    def complete(self, choices: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
        """The response to a request without `stream`."""
        return {**self._fields(self.complete_object), "choices": choices, "usage": usage.body()}

    def chunk_frame(self, *, with_usage: bool) -> tuple[str, str]:
        """JSON before and after the choice of each stream chunk, encoded once for all of them.

        with_usage: a chunk with the usage follows, so `usage` is null in the others.
        """
        head = encode_json(self._fields(self.chunk_object)).removesuffix("}")
        return f'{head},"choices":[', '],"usage":null}' if with_usage else "]}"

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The last stream chunk, if `stream_options.include_usage` is set."""
        return {**self._fields(self.chunk_object), "choices": [], "usage": usage.body()}

    def _fields(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def chat_envelope(response_id: str, model: str, created: int) -> ResponseEnvelope:
    """For /v1/chat/completions."""
    return ResponseEnvelope(response_id, model, created, "chat.completion", "chat.completion.chunk")


def text_envelope(response_id: str, model: str, created: int) -> ResponseEnvelope:
    """For /v1/completions."""
    return ResponseEnvelope(response_id, model, created, "text_completion", "text_completion")


@dataclass(slots=True)
class ChatChoice:
    """A choice of /v1/chat/completions. `token_bytes` is set for logprobs; without a parser all text is content."""

    index: int
    call_id: Callable[[int], str]
    """The id of each call."""
    token_bytes: TokenBytes | None = None
    parser: MessageParser | None = None
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _scores: list[Score] = field(default_factory=list)
    _calls: list[dict[str, Any]] = field(default_factory=list)
    _finish: str | None = None

    def first_chunk(self) -> dict[str, Any] | None:
        """The chunk that contains the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def add(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> list[dict[str, Any]]:
        """Collect output; the deltas of the message that it makes."""
        self._scores += scores
        deltas: list[dict[str, Any]] = []
        if self.parser is None:
            if text:  # most tokens: no event is made for them
                self._text.append(text)
                deltas.append({"content": text})
        else:
            for event in self.parser.push(text) + (self.parser.end() if finish is not None else []):
                self._append(event, deltas)
        if finish is not None:
            self._finish = "tool_calls" if self._calls and finish is FinishReason.STOP else str(finish)
        return deltas

    def add_as_chunks(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> list[dict[str, Any]]:
        """Collect output; the stream chunks that it makes."""
        deltas = self.add(text, scores, finish)
        if scores and not deltas:
            deltas = [{"content": ""}]
        chunks = [self._chunk(delta) for delta in deltas]
        if scores and self.token_bytes:
            chunks[0]["logprobs"] = chat_logprobs(scores, self.token_bytes)
        if finish is not None:
            chunks.append({**self._chunk({}), "finish_reason": self._finish})
        return chunks

    def complete(self) -> dict[str, Any]:
        """The choice with all collected output."""
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._reasoning:
            message |= {"content": text or None, "reasoning_content": "".join(self._reasoning)}
        if self._calls:
            message |= {"content": text or None, "tool_calls": self._calls}
        logprobs = chat_logprobs(self._scores, self.token_bytes) if self.token_bytes else None
        return {"index": self.index, "message": message, "logprobs": logprobs, "finish_reason": self._finish}

    def _append(self, event: Event, deltas: list[dict[str, Any]]) -> None:
        """Collect an event and add its delta. It joins the last delta of its kind: fewer chunks, same message."""
        last = deltas[-1] if deltas else {}
        match event:
            case Content(text):
                self._text.append(text)
                _extend(deltas, last, "content", text)
            case Reasoning(text):
                self._reasoning.append(text)
                _extend(deltas, last, "reasoning_content", text)
            case CallStart(name):
                at = len(self._calls)
                call = {"id": self.call_id(at), "type": "function"}
                self._calls.append({**call, "function": {"name": name, "arguments": ""}})
                deltas.append({"tool_calls": [{"index": at, **call, "function": {"name": name, "arguments": ""}}]})
            case CallArguments(text):
                self._calls[-1]["function"]["arguments"] += text
                if "tool_calls" in last:
                    last["tool_calls"][0]["function"]["arguments"] += text
                else:
                    function = {"arguments": text}
                    deltas.append({"tool_calls": [{"index": len(self._calls) - 1, "function": function}]})

    def _chunk(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": None}


def _extend(deltas: list[dict[str, Any]], last: dict[str, Any], key: str, text: str) -> None:
    if key in last:
        last[key] += text
    else:
        deltas.append({key: text})


@dataclass(slots=True)
class TextChoice:
    """A choice of /v1/completions. `echo` is the prompt's text if it was requested."""

    index: int
    token_bytes: TokenBytes | None = None
    echo: str = ""
    _text: list[str] = field(default_factory=list)
    _scores: list[Score] = field(default_factory=list)
    _finish: str | None = None

    def first_chunk(self) -> dict[str, Any] | None:
        """The chunk that contains the prompt; None without `echo`."""
        return self._body(self.echo) if self.echo else None

    def add(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> None:
        """Collect output."""
        self._text.append(text)
        self._scores += scores
        self._finish = str(finish) if finish is not None else None

    def add_as_chunks(self, text: str, scores: tuple[Score, ...], finish: FinishReason | None) -> list[dict[str, Any]]:
        """Collect output; the stream chunks that it makes."""
        self.add(text, scores, finish)
        chunks = [self._body(text, self._logprobs(scores) if scores else None)] if text or scores else []
        if finish is not None:
            chunks.append({**self._body(""), "finish_reason": self._finish})
        return chunks

    def complete(self) -> dict[str, Any]:
        """The choice with all collected output."""
        body = self._body(self.echo + "".join(self._text), self._logprobs(self._scores))
        return {**body, "finish_reason": self._finish}

    def _logprobs(self, scores: Sequence[Score]) -> dict[str, Any] | None:
        return text_logprobs(scores, self.token_bytes, len(self.echo)) if self.token_bytes else None

    def _body(self, text: str, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": None}


def chat_logprobs(scores: Iterable[Score], token_bytes: TokenBytes) -> dict[str, Any]:
    """`choices[].logprobs` of a chat completion."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        spelling = token_bytes(token)
        return {"token": _text(spelling), "logprob": logprob, "bytes": list(spelling)}

    content = [
        {**entry(score.token, score.logprob), "top_logprobs": [entry(*alternative) for alternative in score.top]}
        for score in scores
    ]
    return {"content": content, "refusal": None}


def text_logprobs(scores: Iterable[Score], token_bytes: TokenBytes, offset: int) -> dict[str, Any]:
    """`choices[].logprobs` of a plain completion; `offset` is the number of characters before the output.

    The chosen token is always included, so there may be one more than requested.
    """
    scores = list(scores)
    tops = []
    for score in scores:
        top: dict[str, float] = {}
        for token, logprob in (*score.top, (score.token, score.logprob)):
            # All partial characters decode to the same text: keep the most likely one.
            top.setdefault(_text(token_bytes(token)), logprob)
        tops.append(top)
    return {
        "tokens": [_text(token_bytes(score.token)) for score in scores],
        "token_logprobs": [score.logprob for score in scores],
        "top_logprobs": tops,
        "text_offset": [offset + score.offset for score in scores],
    }


def _text(spelling: bytes) -> str:
    return spelling.decode(errors="replace")
