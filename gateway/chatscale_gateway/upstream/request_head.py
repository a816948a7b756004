"""Writes the head of a request to a replica. Pure."""

import re
from collections.abc import Mapping
from typing import Final

_PATH: Final = re.compile(r"/[!-~]*")
_NAMES: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
"""Tokens of RFC 9110, section 5.6.2, one a line."""
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""A line feed in a header would begin another header (RFC 9110, section 5.5)."""


def request_head(host: str, path: str, headers: Mapping[str, str], body_bytes: int) -> bytes:
    """A POST, to the empty line. `headers` must not contain Host, Content-Length or Transfer-Encoding.

    Raises ValueError if a name, a value or the path contains characters that would change the request.
    """
    if not _PATH.fullmatch(path):
        raise ValueError("the path contains characters that are not valid in a request line")
    if _FORBIDDEN.search("".join((*headers, *headers.values()))):
        raise ValueError("a header contains a control character")
    if headers and not _NAMES.fullmatch("\n".join(headers)):
        raise ValueError("a header name is not a token")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {body_bytes}\r\n\r\n"
    # Bytes of a client's header that are not UTF-8 pass unchanged.
    return head.encode(errors="surrogateescape")
