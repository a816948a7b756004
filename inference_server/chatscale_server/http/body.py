"""From a connection to a JSON object, with every cost bounded before it is paid."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from aiohttp import hdrs, web

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.metrics import Counts

READ_TIMEOUT_S: Final = 30.0
"""For a body: a client that sends drop by drop must not hold up a drain."""
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
SMALL_BODY_BYTES: Final = 64 * 1024
"""Nearly every chat is smaller."""
MAX_SMALL_BYTES_ON_THE_WAY: Final = 32 * 1024 * 1024
MAX_LARGE_BYTES_ON_THE_WAY: Final = 64 * 1024 * 1024
"""Of bodies that are being received or made into tokens, by what they may come to. Large ones have a share of their
own, so that sixteen slow uploads do not shut the door to chats."""
INTAKE_RETRY_AFTER_S: Final = 1
MAX_JSON_DEPTH: Final = 32
MAX_CONTAINERS: Final = 20_000
"""Objects and lists in one body: a thousand messages with a dozen parts each, and room to spare."""
MAX_COMMAS: Final = 1_100_000
"""In one body, outside strings: a prompt of 2^20 token ids, the longest that any field takes, and room to spare."""
MAX_MEMBERS: Final = 512
"""Of one object: the largest that may be is `logit_bias`."""
_BRACKET: Final = re.compile(r"[\[\]{}]")


@dataclass(slots=True)
class Uploads:
    """The bodies on their way from a client to tokens."""

    counts: Counts = field(default_factory=Counts)
    small_bytes: int = 0
    large_bytes: int = 0

    @contextmanager
    def place(self, size: int) -> Iterator[None]:
        """For a body of at most `size` bytes, until it is tokens. Raises ApiError 429 when too much is on its way."""
        small = size <= SMALL_BODY_BYTES
        if (
            (self.small_bytes + size > MAX_SMALL_BYTES_ON_THE_WAY)
            if small
            else (self.large_bytes + size > MAX_LARGE_BYTES_ON_THE_WAY)
        ):
            self.counts.rejected[RejectReason.UPLOADS] += 1
            raise ApiError(
                429,
                "too many request bodies are being received and read; try again later",
                code="too_many_uploads",
                retry_after_s=INTAKE_RETRY_AFTER_S,
            )
        self._add(size, small=small)
        try:
            yield
        finally:
            self._add(-size, small=small)

    def _add(self, size: int, *, small: bool) -> None:
        if small:
            self.small_bytes += size
        else:
            self.large_bytes += size


@asynccontextmanager
async def read_body(http: web.Request, uploads: Uploads) -> AsyncIterator[bytes]:
    """The body, unpacked; its place is taken until the end of the context. Raises ApiError 400, 408, 413 or 429."""
    stated = http.content_length
    if stated is not None and stated > MAX_BODY_BYTES:
        raise ApiError(413, f"the body has {stated} bytes, at most {MAX_BODY_BYTES} are read", code="body_too_large")
    # A packed body states its packed size; one sent in chunks states none.
    packed = hdrs.CONTENT_ENCODING in http.headers
    with uploads.place(MAX_BODY_BYTES if stated is None or packed else stated):
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                body = await http.read()
        except TimeoutError as error:
            raise ApiError(408, f"the body did not arrive within {READ_TIMEOUT_S:g} seconds", code="timeout") from error
        except web.RequestPayloadError as error:
            raise bad_request("the body does not have the encoding that its headers state") from error
        yield body


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises ApiError 400 for anything else."""
    try:
        # Not json's own guess, which reads UTF-16 as well: the bounds are checked on the same characters.
        text = body.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    _check_bounds(text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_bounded_object)
    except ValueError as error:
        raise bad_request(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_request(f"the body must be a JSON object, found {type(value).__name__}")
    return value


def _check_bounds(text: str) -> None:
    # What is outside strings. A backslash there may mislead this, but it is no JSON: json.loads reads no further.
    structure = "".join(text.replace(r"\\", "").replace(r"\"", "").split('"')[::2])
    if structure.count(",") > MAX_COMMAS:
        raise bad_request(f"the body has more than {MAX_COMMAS} commas outside strings")
    # Ends without a beginning are counted as well: the loop below looks at each.
    if max(structure.count("[") + structure.count("{"), structure.count("]") + structure.count("}")) > MAX_CONTAINERS:
        raise bad_request(f"the body has more than {MAX_CONTAINERS} objects and lists")
    depth = 0
    for bracket in _BRACKET.finditer(structure):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise bad_request(f"the body is nested deeper than {MAX_JSON_DEPTH} levels")


def _bounded_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(members) > MAX_MEMBERS:
        raise bad_request(f"an object in the body has more than {MAX_MEMBERS} members")
    return dict(members)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
