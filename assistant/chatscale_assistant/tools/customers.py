"""Reads who the customer of a request is, from the shop's token, with the shop's secret or its key set.

The key set is read again at an interval, so that a withdrawn key stops to count, and for a token with an unknown key,
at most once in `MIN_REFRESH_S`. An outage of the shop keeps the last set for `MAX_KEEP_S`.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from chatscale.api.v1alpha1.shopassistant import Identity
from chatscale_assistant.domain.conversation import Customer
from chatscale_assistant.gate.customer_token import (
    IdentityRules,
    InvalidCustomerTokenError,
    KeySet,
    SecretKeys,
    read_key_id,
    read_key_set,
    verify_customer,
)

REFRESH_S: Final = 300.0
MIN_REFRESH_S: Final = 30.0
MAX_KEEP_S: Final = 24 * 3600.0
"""A key set that could not be read again for this long does not count any more."""
FETCH_TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 256 * 1024

FetchJson = Callable[[str], Awaitable[Any]]
log = logging.getLogger(__name__)


def fetching(session: aiohttp.ClientSession) -> FetchJson:
    """Reads a JSON document within `FETCH_TIMEOUT_S` and `MAX_BYTES`, without redirects."""

    async def fetch(url: str) -> Any:
        async with asyncio.timeout(FETCH_TIMEOUT_S), session.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004 - OK
                raise ValueError(f"the answer has status {response.status}, expected 200")
            body = await response.content.read(MAX_BYTES + 1)
            while len(body) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES + 1)):
                body += more
        if len(body) > MAX_BYTES:
            raise ValueError(f"the answer has more than {MAX_BYTES} bytes")
        return json.loads(body)

    return fetch


class Customers:
    """Verifies customers' tokens.

    assistant: the default audience.  secret_file: read once.  clock: monotonic seconds.
    """

    def __init__(
        self, identity: Identity, assistant: str, secret_file: Path, *, fetch: FetchJson, clock: Callable[[], float]
    ) -> None:
        """Raises ValueError or OSError for a secret that is missing or too short."""
        self._rules: Final = IdentityRules(identity.audience or assistant, identity.customer_claim)
        self._secret: Final = SecretKeys(secret_file.read_bytes().strip()) if identity.jwks is None else None
        self._jwks: Final = identity.jwks or ""
        self._fetch: Final = fetch
        self._clock: Final = clock
        self._keys = KeySet()
        self._read_at_s = float("-inf")
        self._tried_at_s = float("-inf")
        self._reading: Final = asyncio.Lock()

    async def customer(self, token: str, wall_now: datetime) -> Customer | None:
        """The customer for whom the shop vouches; None without a valid token."""
        key_id = read_key_id(token)
        if key_id is None:
            return None
        keys = self._secret or await self._key_set(key_id)
        try:
            return verify_customer(token, keys, self._rules, wall_now)
        except InvalidCustomerTokenError as error:
            log.info("customer token refused", extra={"error": str(error)})
            return None

    async def _key_set(self, key_id: str) -> KeySet:
        if self._is_due(key_id):
            async with self._reading:
                if self._is_due(key_id):
                    await self._read()
        return self._keys if self._clock() - self._read_at_s < MAX_KEEP_S else KeySet()

    def _is_due(self, key_id: str) -> bool:
        now_s = self._clock()
        unknown = bool(key_id) and key_id not in self._keys.keys
        wanted = unknown or not self._keys.keys or now_s - self._read_at_s >= REFRESH_S
        return wanted and now_s - self._tried_at_s >= MIN_REFRESH_S

    async def _read(self) -> None:
        self._tried_at_s = self._clock()
        try:
            self._keys = read_key_set(await self._fetch(self._jwks))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            log.warning("key set of the shop cannot be read", extra={"error": str(error) or type(error).__name__})
        else:
            self._read_at_s = self._clock()
