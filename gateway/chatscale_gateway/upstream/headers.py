"""Which headers pass between clients and replicas. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from chatscale_contract.assistant.endpoints import CUSTOMER_TOKEN_HEADER, FROM_ASSISTANT_HEADER

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "trailers", "transfer-encoding", "upgrade"}
)  # fmt: skip
"""RFC 9110, section 7.6.1."""
_SECRETS: Final = frozenset({"authorization", "cookie", "set-cookie", "api-key", "x-api-key"})
_OF_PROXIES: Final = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto",
     "x-forwarded-server", "x-real-ip", "x-client-ip", "x-original-forwarded-for", "true-client-ip",
     "cf-connecting-ip", "via"}
)  # fmt: skip
"""What proxies say about a client. A replica needs no addresses, and a client can type these headers."""
_OF_REQUEST: Final = _HOP_BY_HOP | _SECRETS | _OF_PROXIES | {
    "host", "content-length", "content-type", "content-encoding", "accept-encoding", "expect", "x-request-id"
}  # fmt: skip
_OF_REQUEST_TO_MODEL: Final = _OF_REQUEST | {CUSTOMER_TOKEN_HEADER.lower(), FROM_ASSISTANT_HEADER.lower()}
"""Only ShopAssistants get the customer's token, which is a credential, and the header that shows a loop of them."""
_OF_RESPONSE: Final = _HOP_BY_HOP | _SECRETS | {"content-length", "date", "server", "x-request-id", "cache-control"}
_OURS: Final = "x-chatscale-"


def request_headers(found: Iterable[tuple[str, str]], request_id: str, *, to_assistant: bool = False) -> dict[str, str]:
    """The headers that a replica gets. The body is JSON without compression, and so must be the response."""
    headers = _without(found, _OF_REQUEST if to_assistant else _OF_REQUEST_TO_MODEL)
    headers["Content-Type"] = "application/json"
    headers["Accept-Encoding"] = "identity"
    headers["X-Request-Id"] = request_id
    return headers


def response_headers(found: Mapping[str, str]) -> dict[str, str]:
    """The headers of a replica's response that its client gets. Length and framing are the gateway's."""
    return _without(found.items(), _OF_RESPONSE)


def _without(found: Iterable[tuple[str, str]], dropped: frozenset[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    named: set[str] = set()
    for name, value in found:
        lower = name.lower()
        if lower == "connection":
            named.update(token.strip().lower() for token in value.split(","))
        if lower not in dropped and not lower.startswith(_OURS):
            # A repeated header becomes one list (RFC 9110, section 5.3).
            kept[lower] = f"{kept[lower]}, {value}" if lower in kept else value
    return {name: value for name, value in kept.items() if name not in named} if named else kept
