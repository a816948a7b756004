"""HTTP calls to the desk. Addresses come from the desk's Secret only, and redirects are not followed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

MAX_RESPONSE_BYTES: Final = 4 * 1024**2
_RETRYABLE: Final = frozenset({408, 409, 425, 429})


class DeskFailedError(Exception):
    """The desk did not do what was requested. The message has no text of the conversation."""

    def __init__(self, detail: str, *, retryable: bool) -> None:
        super().__init__(detail)
        self.retryable = retryable


def desk_session() -> ClientSession:
    """A session without environment proxies and without cookies of the desk."""
    return ClientSession(timeout=ClientTimeout(total=None, sock_connect=2.0), trust_env=False)


def base_url(text: str) -> URL:
    """Raises DeskFailedError for a text that is no http or https address."""
    try:
        url = URL(text)
    except ValueError as error:
        raise DeskFailedError("the Secret's url is no address", retryable=False) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise DeskFailedError("the Secret's url must begin with http:// or https://", retryable=False)
    return url


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Sends requests."""

    session: ClientSession
    timeout_s: float

    async def send(
        self, method: str, url: URL, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The parsed JSON of a 2xx response, None for one without JSON. Raises DeskFailedError."""
        sent = {"Accept": "application/json", **({"Content-Type": "application/json"} if body is not None else {})}
        try:
            async with self.session.request(
                method,
                url,
                data=body,
                headers={**sent, **(headers or {})},
                allow_redirects=False,
                timeout=ClientTimeout(total=self.timeout_s, sock_connect=2.0),
            ) as response:
                if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    retryable = response.status in _RETRYABLE or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                    raise DeskFailedError(f"the desk returned HTTP {response.status}", retryable=retryable)
                raw = await response.content.read(MAX_RESPONSE_BYTES)
                while not response.content.at_eof() and len(raw) < MAX_RESPONSE_BYTES:
                    raw += await response.content.read(MAX_RESPONSE_BYTES - len(raw))
        except TimeoutError as error:
            raise DeskFailedError("the desk did not answer in time", retryable=True) from error
        except (ClientError, OSError, ValueError) as error:
            raise DeskFailedError(f"the desk cannot be reached ({type(error).__name__})", retryable=True) from error
        try:
            return json.loads(raw) if raw.strip() else None
        except (ValueError, RecursionError):
            return None
