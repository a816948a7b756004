"""Writes the head of a request to a replica. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_PATH: Final = re.compile(r"/[!-~]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, section 5.6.2."""
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""A line feed in a value would begin another header (RFC 9110, section 5.5)."""


def request_head(host: str, path: str, headers: Mapping[str, str], body_bytes: int) -> bytes:
    """A POST, to the empty line. `headers` must not contain Host, Content-Length or Transfer-Encoding.

    Raises ValueError if a name, a value or the path contains characters that would change the request.
    """
    if not _is_path(path):
        raise ValueError("the path contains characters that are not valid in a request line")
    if _FORBIDDEN.search("".join(headers.values())):
        raise ValueError("a header value contains a control character")
    lines = [f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"]
    for name, value in headers.items():
        if not _is_token(name):
            raise ValueError("a header name contains characters that are not valid in a token")
        lines.append(f"{name}: {value}\r\n")
    lines.append(f"Content-Length: {body_bytes}\r\n\r\n")
    # Bytes of a client's header that are not UTF-8 pass unchanged.
    return "".join(lines).encode(errors="surrogateescape")


@lru_cache(256)
def _is_path(text: str) -> bool:
    return _PATH.fullmatch(text) is not None


@lru_cache(1024)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None
