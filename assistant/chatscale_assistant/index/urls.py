"""A source behind HTTP: one file, fetched again at an interval, and only if it changed.

A redirect may not lead to another scheme, from https to http, or from a public host to a private address: who controls
the address of the source would otherwise read services inside the cluster.
"""

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, KnowledgeSource
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.content import Source
from chatscale_assistant.index.folders import File
from chatscale_assistant.index.sources import parse_source
from chatscale_assistant.retrieval.decoding import MAX_FILE_BYTES

FETCH_TIMEOUT_S: Final = 30
MAX_REDIRECTS: Final = 3
RETRY_S: Final = 30
"""After a failed fetch, if the interval is longer."""
KEPT_INTERVALS: Final = 3
KEPT_S: Final = 3600
"""A server that fails has not changed anything. Its content is used for 3 intervals more, an hour at most; if the
interval is longer than an hour, for one interval."""
_GONE: Final = frozenset({401, 403, 404, 410, 451})
"""Answers that say that the file is not for us any more: its text is left out at once."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_MODIFIED: Final = 304
_OK: Final = 200
_SUFFIXES: Final = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/x-jsonlines": ".jsonl",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "application/yaml": ".yaml",
}
_NAMED: Final = frozenset(_SUFFIXES.values()) | {".markdown", ".text", ".htm", ".xhtml", ".ndjson", ".yml"}
"""Suffixes of an address that say a format. Others, such as `.php`, do not, and the content type decides."""
_PAGES: Final = frozenset({".html", ".htm", ".xhtml"})
_PAGE: Final = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_PORTS: Final = {"http": 80, "https": 443}


class _GoneError(SourceError):
    """The server says that the file is not there."""


@dataclass(slots=True)
class WebSource:
    """One source behind HTTP. Use it in one event loop."""

    spec: KnowledgeSource
    session: aiohttp.ClientSession
    max_bytes: int = MAX_FILE_BYTES
    clock: Callable[[], float] = time.monotonic
    """In seconds."""
    _source: Source | None = field(default=None, init=False)
    _validators: dict[str, str] = field(default_factory=dict, init=False)
    _fetching: asyncio.Task[None] | None = field(default=None, init=False)
    _next_s: float = field(default=float("-inf"), init=False)
    _fetched_s: float = field(default=0.0, init=False)

    async def read(self) -> Source:
        """The source as fetched last.

        The first call waits for the file, 30 s at most. Later ones fetch in the background after each interval, so that
        a slow server does not delay the other sources.
        """
        now_s = self.clock()
        if self._source is None:
            await self._update(now_s)
        elif now_s >= self._next_s and (self._fetching is None or self._fetching.done()):
            self._fetching = asyncio.create_task(self._update(now_s))
        assert self._source is not None  # noqa: S101 - set by the first update
        return self._source

    async def close(self) -> None:
        """Stop a fetch that runs."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _update(self, now_s: float) -> None:
        interval_s = self._interval.total_seconds()
        kept_s = min(KEPT_INTERVALS * interval_s, max(interval_s, KEPT_S))
        self._next_s = now_s + interval_s
        try:
            self._source = await self._fetch(self._source)
            self._fetched_s = now_s
        except _GoneError as e:
            self._leave_out(str(e))
        except SourceError as e:
            self._next_s = now_s + min(interval_s, RETRY_S)
            if self._source is None or now_s - self._fetched_s > kept_s:
                self._leave_out(str(e))

    @property
    def _interval(self) -> timedelta:
        assert self.spec.url is not None  # noqa: S101 - the caller chose this class by it
        return timedelta(seconds=self.spec.url.interval_seconds)

    def _leave_out(self, message: str) -> None:
        self._validators = {}
        self._source = Source(self.spec.name, self.spec.kind, message=message)

    async def _fetch(self, before: Source | None) -> Source:
        assert self.spec.url is not None  # noqa: S101 - as above
        url = self.spec.url.url
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                for _ in range(MAX_REDIRECTS + 1):
                    headers = self._validators if before is not None and before.digest else {}
                    async with self.session.get(url, headers=headers, allow_redirects=False) as response:
                        if response.status == _NOT_MODIFIED and before is not None:
                            return before
                        if response.status in _REDIRECTS:
                            url = await self._redirect(url, response.headers.get("Location", ""))
                            continue
                        return await self._parse(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as e:
            # Other errors of aiohttp quote the whole address.
            why = str(e) if isinstance(e, OSError) and str(e) else type(e).__name__
            raise SourceError(f"source {self.spec.name}: {shown(url)}: cannot be fetched: {why}") from e
        raise SourceError(f"source {self.spec.name}: expected at most {MAX_REDIRECTS} redirects, found more")

    async def _parse(self, response: aiohttp.ClientResponse) -> Source:
        where = f"source {self.spec.name}: {shown(str(response.url))}"
        if response.status in _GONE:
            raise _GoneError(f"{where}: expected status 200, found {response.status}")
        if response.status != _OK:
            raise SourceError(f"{where}: expected status 200, found {response.status}")
        content = bytearray()
        async for piece in response.content.iter_chunked(2**16):
            content += piece
            if len(content) > self.max_bytes:
                raise _GoneError(f"{where}: expected at most {self.max_bytes} bytes, found more")
        self._check_format(where, response, content)
        files = (File(self._name(response), bytes(content)),)
        source = await asyncio.to_thread(parse_source, self.spec.name, self.spec.kind, files)
        self._validators = {
            request: value
            for request, name in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
            if (value := response.headers.get(name))
        }
        return source

    def _check_format(self, where: str, response: aiohttp.ClientResponse, content: bytearray) -> None:
        """Raise SourceError for a web page in place of another format: a page to log in, or one about maintenance."""
        is_page = _PAGE.match(content.removeprefix(_BYTE_ORDER_MARK)) is not None
        expected = {suffix for url in (self._configured, response.url) if (suffix := _named_suffix(url))} - _PAGES
        if self.spec.kind is KnowledgeKind.DOCUMENTS and not expected:
            return
        if is_page:
            raise SourceError(f"{where}: expected {', '.join(sorted(expected)) or self.spec.kind}, found a web page")

    def _name(self, response: aiohttp.ClientResponse) -> str:
        """The file's name with a suffix that says its format: that of an address, or that of the content type."""
        for url in (response.url, self._configured):
            if _named_suffix(url):
                return url.name
        name = response.url.name or "file"
        if "." not in name:
            default = ".csv" if self.spec.kind is KnowledgeKind.CATALOGUE else ""
            return name + _SUFFIXES.get(response.content_type, default)
        # Servers send text/plain for any file that they do not recognise.
        suffix = "" if response.content_type == "text/plain" else _SUFFIXES.get(response.content_type, "")
        return name + suffix

    @property
    def _configured(self) -> URL:
        """The address in the spec, before redirects."""
        assert self.spec.url is not None  # noqa: S101 - the caller chose this class by it
        return URL(self.spec.url.url)

    async def _redirect(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
        where = f"source {self.spec.name}: {shown(url)}"
        if after.scheme not in _PORTS or (before.scheme == "https" and after.scheme != "https"):
            raise _GoneError(f"{where}: expected a redirect to {before.scheme}, found one to {after.scheme!r}")
        same = (before.hostname, before.port) == (after.hostname, after.port)
        if not same and await _is_private(target) and not await _is_private(url):
            raise _GoneError(f"{where}: expected a redirect to a public host, found {after.hostname!r}")
        return target


def _named_suffix(url: URL) -> str:
    """The suffix of an address that says a format, such as `.csv`; empty for others."""
    suffix = PurePosixPath(url.name).suffix.lower()
    return suffix if suffix in _NAMED else ""


def shown(url: str) -> str:
    """An address for messages: without user, password, query and fragment, which can be credentials."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def _is_private(url: str) -> bool:
    """Whether any address of the host is inside the cluster, the node or a private network."""
    parts = urlsplit(url)
    infos = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, parts.port or _PORTS[parts.scheme], type=socket.SOCK_STREAM
    )
    return any(not ipaddress.ip_address(str(info[4][0]).partition("%")[0]).is_global for info in infos)
