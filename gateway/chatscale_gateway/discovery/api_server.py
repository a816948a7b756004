"""Requests to a Kubernetes API server: list, page by page, watch, and create. All reads have deadlines."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import aiohttp

from chatscale import __version__

Manifest = Mapping[str, Any]

PAGE_TIMEOUT_S: Final = 15.0
"""Deadline of one page of a list. A healthy API server answers within a second."""
PAGE_ITEMS: Final = 500
"""Limits the memory that a list needs: only one page of manifests exists at a time."""
WATCH_S: Final = 30
"""The API server ends a watch after this time, with a bookmark before. A half-open connection is found as soon."""
WATCH_GRACE_S: Final = 10.0
"""A watch that lasts longer than `WATCH_S` by this much is broken."""
MAX_EVENT_BYTES: Final = 16 * 1024**2
"""etcd stores objects of at most 1.5 MiB by default."""
_CONFLICT: Final = 409
_GONE: Final = 410
_NOT_FOUND: Final = 404
_FIRST_ERROR: Final = 400


class ApiServerError(Exception):
    """The API server did not answer, or refused: retry with back-off, and change nothing meanwhile."""


class ExpiredError(ApiServerError):
    """The resource version is too old (410 Gone): list again."""


class MissingError(ApiServerError):
    """No such resource (404 Not Found): its CRD is not installed."""


class ExistsError(ApiServerError):
    """An object of this name exists already (409 Conflict)."""


class EventType(StrEnum):
    """What a watch reports."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    """No change; the object has only a newer resource version."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch."""

    type: EventType
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: tuple[Manifest, ...]
    resource_version: str
    """Of the whole list: a watch continues from here."""
    next_page: str
    """Token of the next page; empty at the end."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What to list and watch."""

    path: str
    """Such as `/api/v1/namespaces/demo/pods`."""
    selector: str = ""
    """Label selector; empty selects all."""
    page_items: int = PAGE_ITEMS

    def query(self) -> dict[str, str]:
        """The query parameters of list and watch."""
        return {"labelSelector": self.selector} if self.selector else {}


class ApiServer:
    """The API server behind an HTTP session, which has the TLS settings.

    bearer_token: the current token, or an empty string for none. It has its own deadline and may raise ApiServerError.
    """

    def __init__(self, session: aiohttp.ClientSession, host: str, bearer_token: Callable[[], Awaitable[str]]) -> None:
        self._session: Final = session
        self._host: Final = host.rstrip("/")
        self._bearer_token: Final = bearer_token

    async def list_pages(self, resource: Resource) -> AsyncGenerator[Page, None]:
        """Read a consistent list. Raises ExpiredError if it changes for longer than the API server remembers."""
        query = {**resource.query(), "limit": str(resource.page_items)}
        next_page = ""
        while True:
            found = await self._page(resource.path, {**query, "continue": next_page} if next_page else query)
            yield found
            next_page = found.next_page
            if not next_page:
                return

    async def watch(self, resource: Resource, resource_version: str) -> AsyncGenerator[Event, None]:
        """Yield changes after `resource_version` until the API server ends the watch.

        Raises ExpiredError for a resource version that is too old, ApiServerError for a broken watch.
        """
        query = {
            **resource.query(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_S),
        }
        try:
            headers = await self._headers()
            timeout = aiohttp.ClientTimeout(total=WATCH_S + WATCH_GRACE_S, sock_connect=PAGE_TIMEOUT_S)
            request = self._session.get(
                self._host + resource.path, params=query, headers=headers, timeout=timeout, allow_redirects=False
            )
            async with request as response:
                if response.status >= _FIRST_ERROR:
                    raise _refusal(response.status, await response.read(), f"watch {resource.path}")
                async with aclosing(_lines(response.content)) as lines:
                    async for line in lines:
                        yield _event(line, resource.path)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiServerError(f"watch {resource.path}: {str(error) or type(error).__name__}") from error

    async def create(self, path: str, manifest: Manifest) -> None:
        """POST the object. Raises ExistsError if there is one of its name, otherwise ApiServerError."""
        await self._request("POST", path, f"create {path}", json=manifest)

    async def _page(self, path: str, query: Mapping[str, str]) -> Page:
        payload = await self._request("GET", path, f"list {path}", params=query)
        found = _parse(payload, f"list {path}")
        meta = found.get("metadata") or {}
        if not meta.get("resourceVersion"):
            raise ApiServerError(f"list {path}: the response has no resourceVersion")
        return Page(tuple(found.get("items") or ()), meta["resourceVersion"], meta.get("continue") or "")

    async def _request(self, method: str, path: str, what: str, **options: Any) -> bytes:
        """The body of the response. what: names the request in errors.  options: of aiohttp."""
        try:
            headers = await self._headers()
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                async with self._session.request(
                    method, self._host + path, headers=headers, allow_redirects=False, **options
                ) as response:
                    payload = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiServerError(f"{what}: {str(error) or type(error).__name__}") from error
        if response.status >= _FIRST_ERROR:
            raise _refusal(response.status, payload, what)
        return payload

    async def _headers(self) -> dict[str, str]:
        token = await self._bearer_token()
        headers = {"Accept": "application/json", "User-Agent": f"chatscale-gateway/{__version__}"}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers


def _event(line: bytes, path: str) -> Event:
    found = _parse(line, f"watch {path}")
    manifest = found.get("object")
    if not isinstance(manifest, dict):
        raise ApiServerError(f"watch {path}: an event has no object")
    if found.get("type") == "ERROR":
        raise _refusal_in(manifest, int(manifest.get("code") or 0), f"watch {path}")
    try:
        return Event(EventType(found.get("type", "")), manifest)
    except ValueError as error:
        raise ApiServerError(f"watch {path}: unknown event type {found.get('type')!r}") from error


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Non-empty lines. An unfinished line at the end of the stream is an error of the connection, and is left out."""
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if b"\n" in chunk:
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                if line.strip():
                    yield line
        if len(rest) > MAX_EVENT_BYTES:
            raise ApiServerError(f"an event of a watch has more than {MAX_EVENT_BYTES} bytes")


def _refusal(status: int, payload: bytes, request: str) -> ApiServerError:
    try:
        answer = _parse(payload, request)
    except ApiServerError:  # an HTML page of a proxy, or an empty body
        answer = {}
    return _refusal_in(answer, status, request)


def _refusal_in(answer: Manifest, status: int, request: str) -> ApiServerError:
    """answer: a metav1.Status if the server sent one."""
    message = f"{request}: HTTP {status}: {answer.get('message') or 'no reason given'}"
    return _ERRORS.get(status, ApiServerError)(message)


_ERRORS: Final[Mapping[int, type[ApiServerError]]] = {
    _GONE: ExpiredError,
    _CONFLICT: ExistsError,
    _NOT_FOUND: MissingError,
}


def _parse(payload: bytes, request: str) -> Manifest:
    try:
        found = json.loads(payload)
    except ValueError as error:
        raise ApiServerError(f"{request}: the response is not JSON") from error
    if not isinstance(found, dict):
        raise ApiServerError(f"{request}: the response is not an object")
    return found
