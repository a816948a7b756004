"""Reads from a request body what routing needs: model, stream, prompt size, prefix. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chatscale_contract.openai.errors import bad_request
from chatscale_contract.openai.numbers import read_whole_number

_BYTES_PER_TOKEN: Final = 4
"""A usual mean for English text. A guess for everything else."""
_MESSAGE_TOKENS: Final = 4
"""Role and separators in usual chat templates."""
_IMAGE_TOKENS: Final = 1000
"""A guess: data URLs must not count as text."""
_OUTPUT_LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""OpenAI's names for the most tokens of one choice. Runtimes differ about which one counts, so the larger one does."""
_PREFIX_ROLES: Final = frozenset({"system", "developer", "user"})
_PREFIX_BYTES: Final = 64 * 1024
_PREFIX_TOKENS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the gateway knows about a request besides its bytes."""

    model: str
    streamed: bool
    prompt_tokens: int
    """Estimated; exact for token ids."""
    wants_usage: bool
    """The client asked for the usage chunk at the end of the stream."""
    max_tokens: int | None = None
    """The most tokens of one choice; None if the request does not say."""
    choices: int = 1
    """Answers that the replica generates: `n`, or `best_of`, for each prompt."""


def read_facts(body: dict[str, Any]) -> RequestFacts:
    """Raises ApiError 400 if the body names no model. Other invalid fields are the replica's to reject."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad_request(f"model must be a non-empty string, found {_kind(model)}", param="model")
    options = body.get("stream_options")
    return RequestFacts(
        model=model,
        streamed=body.get("stream") is True,
        prompt_tokens=estimate_prompt_tokens(body),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        max_tokens=max(
            (found for name in _OUTPUT_LIMITS if (found := _count(body.get(name))) is not None), default=None
        ),
        choices=_count_choices(body),
    )


def estimate_prompt_tokens(body: dict[str, Any]) -> int:
    """At least 1. E.g. 40 bytes of one message -> 10 + 4."""
    tokens, size = 0, 0
    messages = body.get("messages")
    if isinstance(messages, list):
        for message in messages:
            tokens += _MESSAGE_TOKENS
            if isinstance(message, dict):
                text, images = _measure_content(message.get("content"))
                size += text
                tokens += images * _IMAGE_TOKENS
        if body.get("tools"):
            size += len(json.dumps(body["tools"], separators=(",", ":")))
    else:
        found = body.get("prompt", body.get("input"))
        for prompt in found if isinstance(found, list) else [found]:
            if isinstance(prompt, str):
                size += _byte_length(prompt)
            elif isinstance(prompt, list):
                tokens += len(prompt)
            elif isinstance(prompt, int):
                tokens += 1
    return max(1, tokens + -(-size // _BYTES_PER_TOKEN))


def read_prefix(body: dict[str, Any]) -> bytes:
    """System prompt and first user message, or the start of a plain prompt; what a prefix cache can share.

    Empty if there is neither.
    """
    parts: list[str] = []
    messages = body.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if not isinstance(message, dict):
                break
            role = message.get("role")
            if isinstance(role, str) and role in _PREFIX_ROLES:
                parts += (role, *_texts(message.get("content")))
            if role == "user":
                break
    else:
        prompt = body.get("prompt", body.get("input"))
        if isinstance(prompt, list):
            prompt = prompt[0] if prompt and isinstance(prompt[0], str | list) else prompt
        if isinstance(prompt, str):
            parts = [prompt]
        elif isinstance(prompt, list):
            parts = [",".join(map(str, prompt[:_PREFIX_TOKENS]))]
    return "\0".join(parts).encode(errors="surrogatepass")[:_PREFIX_BYTES]


def _count_choices(body: dict[str, Any]) -> int:
    prompts = body.get("prompt")
    choices = max(1, _count(body.get("n")) or 1, _count(body.get("best_of")) or 1)
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        return choices * len(prompts)
    return choices


def _count(value: object) -> int | None:
    """A whole number from 0; None for anything else, which the replica rejects or takes for no limit."""
    found = read_whole_number(value)
    return found if found is not None and found >= 0 else None


def _measure_content(content: object) -> tuple[int, int]:
    """Bytes of text, and number of parts that are no text."""
    if isinstance(content, str):
        return _byte_length(content), 0
    if not isinstance(content, list):
        return 0, 0
    others = sum(isinstance(part, dict) and "text" not in part for part in content)
    return sum(map(_byte_length, _texts(content))), others


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                yield text


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _kind(value: object) -> str:
    return '""' if value == "" else "nothing" if value is None else type(value).__name__
