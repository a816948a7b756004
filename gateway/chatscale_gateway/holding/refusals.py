"""Why the gateway refuses a request itself, and the response for each reason."""

from enum import StrEnum

from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.routing.catalog import ModelKey


class RefusalReason(StrEnum):
    """Label value of the refusals metric, and `code` of the error."""

    HOLDS_NONE = "hold_disabled"
    """`maxRequests` is 0, and no place is free."""
    TOO_LARGE = "too_large_to_hold"
    """The body alone exceeds a bound."""
    REQUESTS = "held_requests"
    BYTES = "held_bytes"
    PROMPT_TOKENS = "held_prompt_tokens"
    GATEWAY_BYTES = "gateway_held_bytes"
    """The bound over all models of this gateway."""
    DISPLACED = "displaced"
    """It waited, and gave its place in the full queue to a request of a higher priority or of another key."""
    DEADLINE = "hold_timeout"
    STOPPED = "model_stopped"
    """The model stays at 0 replicas."""
    ASLEEP = "model_asleep"
    """The model has 0 replicas, and the key has `wake: false`."""
    DELETED = "model_not_found"
    """The ChatModel was deleted, or the key no longer opens it, since the request is held."""
    REVOKED = "invalid_api_key"
    """The key was revoked or has expired while the request was held."""
    UNREACHABLE = "replica_unreachable"
    """No connection to a replica, in all attempts."""
    SHUTDOWN = "gateway_stopping"


BOUND_REASONS = frozenset(
    {
        RefusalReason.HOLDS_NONE,
        RefusalReason.TOO_LARGE,
        RefusalReason.REQUESTS,
        RefusalReason.BYTES,
        RefusalReason.PROMPT_TOKENS,
        RefusalReason.GATEWAY_BYTES,
        RefusalReason.DISPLACED,
    }
)
"""Refusals with 429, because a bound of the hold is full."""

_WITHOUT_RETRY = frozenset({RefusalReason.STOPPED, RefusalReason.ASLEEP, RefusalReason.DELETED, RefusalReason.REVOKED})
"""Waiting cannot help. After the other reasons a repeated request may find a free place."""

_STATUS = {RefusalReason.DELETED: 404, RefusalReason.REVOKED: 401}

_MESSAGES = {
    RefusalReason.HOLDS_NONE: "no replica has a free place, and spec.routing.hold.maxRequests is 0",
    RefusalReason.TOO_LARGE: "no replica has a free place, and the request is larger than spec.routing.hold.maxBytes "
    "or the gateway's limit for held bytes",
    RefusalReason.REQUESTS: "too many requests wait for this model",
    RefusalReason.BYTES: "the requests that wait for this model have too many bytes",
    RefusalReason.PROMPT_TOKENS: "the requests that wait for this model have too many prompt tokens",
    RefusalReason.GATEWAY_BYTES: "the requests that wait in this gateway have too many bytes",
    RefusalReason.DISPLACED: "too many requests wait for this model; one of a higher priority, or of a key with fewer "
    "held requests, took this place",
    RefusalReason.DEADLINE: "no replica had a free place before the hold timeout",
    RefusalReason.STOPPED: "the model has 0 replicas and does not start on request",
    RefusalReason.ASLEEP: "the model has 0 replicas, and this key does not start a model (wake: false)",
    RefusalReason.DELETED: "the model does not exist any more",
    RefusalReason.REVOKED: "the API key is not valid any more",
    RefusalReason.UNREACHABLE: "the gateway could not connect to a replica",
    RefusalReason.SHUTDOWN: "the gateway is stopping; another one serves the next request",
}


def refuse(reason: RefusalReason, model: ModelKey, retry_after_s: int) -> ApiError:
    """The error response. retry_after_s is left out where waiting cannot help."""
    retryable = reason not in _WITHOUT_RETRY
    status = _STATUS.get(reason, 429 if reason in BOUND_REASONS else 503)
    return ApiError(
        status,
        f"model `{model}`: {_MESSAGES[reason]}",
        param="model" if reason is RefusalReason.DELETED else None,
        code=str(reason),
        retry_after_s=retry_after_s if retryable else None,
        retryable=retryable,
    )
