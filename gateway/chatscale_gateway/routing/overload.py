"""What a new request gets while too many requests are held: shorter answers, or another model. Pure.

The rule has no hysteresis: each request is judged by the number of requests that are held when it arrives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from chatscale.api.v1alpha1.routing import OverloadSpec
from chatscale_contract.openai.numbers import read_whole_number
from chatscale_gateway.routing.catalog import Model, ModelKey

OUTPUT_LIMITS: Final = ("max_tokens", "max_completion_tokens")
"""Fields of a request that limit each of its answers."""


class OverloadMode(StrEnum):
    """What changed."""

    CAPPED = "capped"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Capped:
    """The request gets shorter answers."""

    max_tokens: int
    changes: Mapping[str, int]
    """Fields of the body to set."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another model answers."""

    model: Model


def decide_overload(
    model: Model,
    held: int,
    body: Mapping[str, Any],
    prompt_tokens: int,
    find: Callable[[ModelKey], Model | None],
) -> Capped | Fallback | None:
    """What a request for generated text gets; None: nothing changes.

    held: requests that wait for this model, over all gateways.  find: the model of a key if this caller may use it and
    it can answer.  A fallback answers even if it is overloaded too: there is one hop.
    E.g. threshold 10, 11 held, maxTokens 256, request with max_tokens 1000 -> Capped(256).
    """
    overload = model.routing.overload
    if overload is None or held <= overload.held_requests:
        return None
    if overload.max_tokens is not None:
        return _cap(overload.max_tokens, body)
    return _fall_back(model, overload, prompt_tokens, find)


def _cap(limit: int, body: Mapping[str, Any]) -> Capped | None:
    present = {name: body[name] for name in OUTPUT_LIMITS if body.get(name) is not None}
    if not present:
        return Capped(limit, {OUTPUT_LIMITS[0]: limit})
    changes = {name: limit for name, value in present.items() if _exceeds(value, limit)}
    return Capped(limit, changes) if changes else None


def _exceeds(value: object, limit: int) -> bool:
    """A value that is no number is the replica's to reject. Some runtimes take a negative one for no limit."""
    found = value if isinstance(value, float) else read_whole_number(value)
    return found is not None and not 0 <= found <= limit


def _fall_back(
    model: Model, overload: OverloadSpec, prompt_tokens: int, find: Callable[[ModelKey], Model | None]
) -> Fallback | None:
    key = ModelKey(model.key.namespace, overload.fallback or "")
    if key == model.key or (found := find(key)) is None:
        return None
    longest = found.max_model_len
    # The prompt would not fit, so the client would get an error instead of an answer.
    return None if longest is not None and prompt_tokens >= longest else Fallback(found)
