"""Verifies the shop's token for a customer. The keys come from a Secret, or from the shop's key set over HTTP.

A token that does not prove who the customer is makes the customer unknown; it is no error of the request.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from aiohttp import ClientError, ClientResponseError, ClientSession, ClientTimeout

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
from chatscale_assistant.index.urls import shown
from chatscale_assistant.settings import SecretFiles

log = logging.getLogger(__name__)

SECRET_FILE: Final = "identity/key"  # noqa: S105 - a file's name
KEY_SET_AGE_S: Final = 300.0
"""A key set is fetched again after this time, so that a key that the shop removed stops counting."""
RETRY_S: Final = 10.0
"""Between two fetches for tokens whose key is not in the set: forged tokens must not become requests to the shop."""
FETCH_TIMEOUT_S: Final = 1.0
MAX_KEY_SET_BYTES: Final = 256 * 1024


def wall_now() -> datetime:
    """The time against which tokens are checked."""
    return datetime.fromtimestamp(time.time(), UTC)


@dataclass(slots=True)
class CustomerIdentity:
    """`identify` for the handlers. Used on the event loop only."""

    identity: Identity
    assistant: str
    """Name of the ShopAssistant: the default audience."""
    secret_files: SecretFiles
    session: ClientSession
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = wall_now
    _keys: KeySet = field(default_factory=KeySet)
    _failure: str = ""
    """Why the key set could not be read last; empty if it was read."""
    _fetched_s: float = float("-inf")
    _tried_s: float = float("-inf")
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def identify(self, token: str) -> Customer | None:
        """The customer of a valid token; None for every other token."""
        rules = IdentityRules(self.identity.audience or self.assistant, self.identity.customer_claim)
        try:
            return verify_customer(token, await self._current_keys(token), rules, self.now())
        except InvalidCustomerTokenError as error:
            log.info("customer token refused", extra={"reason": str(error)})
        except ValueError as error:
            log.warning("customer tokens cannot be checked", extra={"reason": str(error)})
        return None

    def problem(self) -> str:
        """Why tokens cannot be checked: field, expectation, found value and effect; empty if they can."""
        if self.identity.secret_ref is None:
            effect = (
                "the keys of the last reading count for a while" if self._keys.keys else "every customer is unknown"
            )
            return f"spec.identity.jwks: {self._failure}; {effect}" if self._failure else ""
        try:
            SecretKeys(self.secret_files.read(SECRET_FILE).encode())
        except ValueError as error:
            return f"spec.identity.secretRef: {error}; every customer is unknown"
        return ""

    async def follow(self) -> None:
        """Read the key set at its interval, and again soon after a failure, so that `problem` is current."""
        while self.identity.secret_ref is None:
            await self.read_key_set_if_due()
            await asyncio.sleep(RETRY_S)

    async def read_key_set_if_due(self) -> None:
        """One step of `follow`."""
        async with self._fetching:
            now_s = self.clock()
            is_due = bool(self._failure) or now_s - self._fetched_s >= KEY_SET_AGE_S
            if is_due and now_s - self._tried_s >= RETRY_S:
                self._tried_s = now_s
                await self._fetch()

    async def _current_keys(self, token: str) -> SecretKeys | KeySet:
        """Raises ValueError for a secret that is too short, or missing."""
        if self.identity.secret_ref is not None:
            return SecretKeys(self.secret_files.read(SECRET_FILE).encode())
        async with self._fetching:
            now_s = self.clock()
            is_old = now_s - self._fetched_s >= KEY_SET_AGE_S
            is_unknown = (read_key_id(token) or "") not in self._keys.keys
            if (is_old or is_unknown) and now_s - self._tried_s >= RETRY_S:
                self._tried_s = now_s
                await self._fetch()
            if now_s - self._fetched_s >= 2 * KEY_SET_AGE_S:
                self._keys = KeySet()  # keys that cannot be confirmed for so long count no more
        return self._keys

    async def _fetch(self) -> None:
        url = self.identity.jwks or ""
        try:
            async with self.session.get(
                url, timeout=ClientTimeout(total=FETCH_TIMEOUT_S), allow_redirects=False
            ) as response:
                response.raise_for_status()
                raw = await response.content.read(MAX_KEY_SET_BYTES)
                while not response.content.at_eof() and len(raw) < MAX_KEY_SET_BYTES:
                    raw += await response.content.read(MAX_KEY_SET_BYTES - len(raw))
            self._keys = read_key_set(json.loads(raw))
        except (ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            log.warning("key set cannot be read", extra={"url": shown(url), "error": type(error).__name__})
            status = f"status {error.status}" if isinstance(error, ClientResponseError) else type(error).__name__
            self._failure = f"expected a JSON Web Key Set at {shown(url)}, found {status}"
            return
        self._failure, self._fetched_s = "", self.clock()
