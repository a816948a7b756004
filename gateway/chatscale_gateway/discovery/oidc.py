"""The keys of an identity provider, and the check of its tokens.

The key set is read again regularly, so that a withdrawn key stops to count, and for a token with an unknown key. An
outage of the provider keeps the last set.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NoReturn

import aiohttp

from chatscale_contract.gateway.key_secret import MalformedKeyError
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway import metrics
from chatscale_gateway.discovery.pod_http import UnexpectedStatusError, get_json
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.keys.claims import ClaimMapping, read_caller
from chatscale_gateway.keys.tokens import (
    InvalidTokenError,
    PublicKey,
    TokenRules,
    read_key_id,
    read_key_set,
    verify_token,
)

CONFIGURATION_PATH: Final = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, section 4."""
REFRESH_S: Final = 300.0
"""Between two readings of the key set."""
MIN_REFRESH_S: Final = 30.0
"""Tokens with unknown keys cause no more than one reading in this time, nor does an outage."""
FETCH_TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 1024**2
_MAX_LOGGED_FAULTS: Final = 100

GetJson = Callable[[str], Awaitable[Any]]
log = logging.getLogger(__name__)


def fetching(session: aiohttp.ClientSession) -> GetJson:
    """Reads a document of the provider, within `FETCH_TIMEOUT_S` and without redirects."""

    async def fetch(url: str) -> Any:
        return await get_json(session, url, FETCH_TIMEOUT_S, _MAX_BYTES)

    return fetch


class OidcVerifier:
    """Checks tokens of one provider.

    jwks_url: of the key set; empty finds it in the issuer's configuration.  clock: monotonic seconds.
    """

    def __init__(
        self, fetch: GetJson, rules: TokenRules, mapping: ClaimMapping, *, jwks_url: str, clock: Callable[[], float]
    ) -> None:
        self._fetch: Final = fetch
        self._rules: Final = rules
        self._mapping: Final = mapping
        self._jwks_url: Final = jwks_url
        self._clock: Final = clock
        self._keys: dict[str, PublicKey] | None = None
        """None until the first key set was read."""
        self._fails = False
        self._read_at_s = float("-inf")
        self._wanted: Final = asyncio.Event()
        self._read: Final = asyncio.Event()
        """Set by the end of each reading."""
        self._logged_faults: Final[set[str]] = set()

    async def run(self) -> NoReturn:
        """Read the key set until cancelled."""
        while True:
            await self._refresh()
            wait_s = MIN_REFRESH_S if self._fails else REFRESH_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wanted.wait()

    async def verify(self, token: str, wall_now: datetime) -> Caller | None:
        """The owner of the token; None if it is not valid. Raises ApiError 503 while no key set could be read."""
        key_id = read_key_id(token)
        if key_id is None:
            return None
        key = await self._find_key(key_id)
        if key is None:
            return None
        try:
            return read_caller(verify_token(token, key, self._rules, wall_now), self._mapping)
        except InvalidTokenError:
            return None
        except MalformedKeyError as error:
            self._log_fault(str(error))
            return None

    async def _find_key(self, key_id: str) -> PublicKey | None:
        if self._keys is None or key_id not in self._keys:
            await self._wait_for_refresh()
        if self._keys is None:
            text = "the keys of the identity provider could not be read yet"
            raise ApiError(503, text, code="identity_provider_unavailable", retry_after_s=int(MIN_REFRESH_S))
        return self._keys.get(key_id)

    async def _wait_for_refresh(self) -> None:
        """Return after a new reading, or at once if the last one ended less than `MIN_REFRESH_S` ago."""
        if self._clock() - self._read_at_s < MIN_REFRESH_S:
            return
        if not self._wanted.is_set():
            self._wanted.set()
            self._read.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * FETCH_TIMEOUT_S):
                await self._read.wait()

    async def _refresh(self) -> None:
        try:
            keys = read_key_set(await self._fetch(self._jwks_url or await self._discover()))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, UnexpectedStatusError) as error:
            metrics.DISCOVERY_ERRORS.labels("oidc").inc()
            if not self._fails:
                fields = {"issuer": self._rules.issuer, "error": str(error) or type(error).__name__}
                log.warning("identity provider unavailable", extra=fields)
            self._fails = True
        else:
            if self._keys is None or self._fails:
                log.info("identity provider available", extra={"issuer": self._rules.issuer, "keys": len(keys)})
            self._keys, self._fails = keys, False
        self._read_at_s = self._clock()
        self._wanted.clear()
        self._read.set()

    async def _discover(self) -> str:
        """URL of the key set. Raises ValueError for a configuration that is not the issuer's."""
        found = await self._fetch(self._rules.issuer.rstrip("/") + CONFIGURATION_PATH)
        configuration = found if isinstance(found, dict) else {}
        if configuration.get("issuer") != self._rules.issuer:
            raise ValueError("the configuration has another issuer")
        url = str(configuration.get("jwks_uri"))
        scheme = self._rules.issuer.partition("://")[0]
        if not url.startswith(("https://", f"{scheme}://")):
            raise ValueError("the configuration has no jwks_uri that is as safe as the issuer")
        return url

    def _log_fault(self, fault: str) -> None:
        """One line for each kind of malformed claims: every request of every user may have them."""
        if fault not in self._logged_faults and len(self._logged_faults) < _MAX_LOGGED_FAULTS:
            self._logged_faults.add(fault)
            log.warning("claims of a token are not a policy", extra={"error": fault})
