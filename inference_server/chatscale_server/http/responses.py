"""The answer bodies of both endpoints, whole and in chunks. Pure."""

from dataclasses import dataclass
from typing import Any

from chatscale_server.engine.request import FinishReason


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request."""

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
class ChatShape:
    """Bodies of /v1/chat/completions."""

    id: str
    model: str
    created: int

    def whole(self, text: str, finish: FinishReason, usage: Usage) -> dict[str, Any]:
        """The answer to a request without `stream`."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": str(finish),
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage.body()}

    def opening(self) -> dict[str, Any] | None:
        """The first chunk: who speaks."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def piece(self, text: str) -> dict[str, Any]:
        """A chunk of text."""
        return self._chunk({"content": text}, None)

    def closing(self, finish: FinishReason) -> dict[str, Any]:
        """The chunk that says why it ended."""
        return self._chunk({}, finish)

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The chunk after the last one, for `stream_options.include_usage`."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage.body()}

    def _chunk(self, delta: dict[str, str], finish: FinishReason | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish and str(finish)}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


@dataclass(frozen=True, slots=True)
class CompletionShape:
    """Bodies of /v1/completions: text instead of messages, no opening chunk."""

    id: str
    model: str
    created: int

    def whole(self, text: str, finish: FinishReason, usage: Usage) -> dict[str, Any]:
        """The answer to a request without `stream`."""
        return {**self._body(text, finish), "usage": usage.body()}

    def opening(self) -> dict[str, Any] | None:
        """Plain completions begin with text."""
        return None

    def piece(self, text: str) -> dict[str, Any]:
        """A chunk of text."""
        return self._body(text, None)

    def closing(self, finish: FinishReason) -> dict[str, Any]:
        """The chunk that says why it ended."""
        return self._body("", finish)

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The chunk after the last one, for `stream_options.include_usage`."""
        return {**self._head(), "choices": [], "usage": usage.body()}

    def _body(self, text: str, finish: FinishReason | None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish and str(finish)}
        return {**self._head(), "choices": [choice]}

    def _head(self) -> dict[str, Any]:
        return {"id": self.id, "object": "text_completion", "created": self.created, "model": self.model}


def model_list(model: str, created: int) -> dict[str, Any]:
    """GET /v1/models: the one model of this replica."""
    return {
        "object": "list",
        "data": [{"id": model, "object": "model", "created": created, "owned_by": "chatscale"}],
    }
