"""Tokens of an identity provider, with a real key set over HTTP."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jwt

from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.discovery.oidc import MIN_REFRESH_S, OidcVerifier, fetching
from chatscale_gateway.discovery.pod_http import pod_session
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.keys.claims import ClaimMapping
from chatscale_gateway.keys.tokens import TokenRules, read_key_set
from tests.support.gateway_pods import serving, until

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
AUDIENCE = "chatscale"
RSA = jwk.RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
EC = jwk.ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED = jwk.OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)
OTHER = jwk.RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
MAPPING = ClaimMapping(
    "system", {"models": "chat_models", "priority": "chat_priority", "wake": "chat_wake"}, {"requestsPerMinute": "60"}
)


@dataclass
class Provider:
    """Serves the configuration and the public keys."""

    keys: list[Any] = field(default_factory=lambda: [RSA, EC, ED])
    issuer: str = ""
    status: int = 200
    reads: int = 0

    async def handle(self, http: web.Request) -> web.StreamResponse:
        if self.status != 200:
            return web.Response(status=self.status)
        if http.path.endswith("/.well-known/openid-configuration"):
            return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"})
        self.reads += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})


@dataclass
class World:
    verifier: OidcVerifier
    provider: Provider
    now_s: float = 1000.0

    async def verify(self, token: str, after_s: int = 0) -> Caller | None:
        return await self.verifier.verify(token, NOW + timedelta(seconds=after_s))

    def token(self, key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        found = {
            "iss": self.provider.issuer, "aud": AUDIENCE, "sub": "ada", "exp": NOW_S + 60, "chat_models": ["tiny"],
            **claims,
        }  # fmt: skip
        return jwt.encode(
            {"alg": alg, "kid": key.kid, **(header or {})},
            {name: value for name, value in found.items() if value is not None},
            key,
            algorithms=[alg],
        )


@asynccontextmanager
async def a_world(*, jwks_path: str = "", mapping: ClaimMapping = MAPPING, status: int = 200) -> AsyncIterator[World]:
    provider = Provider(status=status)
    async with serving(provider.handle) as server, pod_session() as session:
        provider.issuer = str(server.make_url("/realm"))
        jwks_url = provider.issuer + jwks_path if jwks_path else ""
        world: World
        verifier = OidcVerifier(
            fetching(session),
            TokenRules(provider.issuer, AUDIENCE),
            mapping,
            jwks_url=jwks_url,
            clock=lambda: world.now_s,
        )
        world = World(verifier, provider)
        task = asyncio.create_task(verifier.run())
        try:
            yield world
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("jwks_path", [pytest.param("", id="discovered"), pytest.param("/keys", id="given")])
@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "Ed25519")])
async def test_a_valid_token_is_a_caller_with_the_policy_of_its_claims(key, alg, jwks_path):
    async with a_world(jwks_path=jwks_path) as world:
        token = world.token(key, alg, aud=["other", AUDIENCE], chat_models=["tiny", "shop/big"], chat_wake=False)

        assert await world.verify(token) == Caller(
            KeyId("system", "oidc:ada"),
            KeyPolicy(models=frozenset({"tiny", "shop/big"}), requests_per_minute=60, wake=False),
            opens_all=True,
        )


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"exp": NOW_S - 31}, id="expired"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": "never"}, id="expiry as text"),
        pytest.param({"nbf": NOW_S + 31}, id="not yet valid"),
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"aud": "other"}, id="another audience"),
        pytest.param({"aud": ["other"]}, id="other audiences"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": "a" * 300}, id="long subject"),
        pytest.param({"sub": 5}, id="subject as number"),
        pytest.param({"chat_models": None}, id="no models"),
        pytest.param({"chat_models": []}, id="empty models"),
        pytest.param({"chat_models": {"a": 1}}, id="models as object"),
        pytest.param({"chat_models": ["tiny,secret"]}, id="one group with a comma"),
        pytest.param({"chat_models": ["tiny secret"]}, id="one group with a space"),
        pytest.param({"chat_models": ["tiny", ""]}, id="one group without a name"),
        pytest.param({"chat_priority": "high"}, id="malformed priority"),
    ],
)
async def test_refuses_claims(claims):
    async with a_world() as world:
        assert await world.verify(world.token(**claims)) is None
        assert await world.verify(world.token()) is not None


def part(header: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


def signed_with_the_public_key(body: str) -> str:
    """As a client can make it: everybody can read the public key."""
    text = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{body}"
    signature = hmac.digest(RSA.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_a_token_that_was_valid_ends_with_its_expiry():
    async with a_world() as world:
        token = world.token()
        assert [bool(await world.verify(token, after_s)) for after_s in (0, 89, 90)] == [True, True, False]


async def test_the_expiry_of_the_default_policy_counts():
    mapping = ClaimMapping("system", {}, {"expires": "2026-11-27T12:00:30Z"})
    async with a_world(mapping=mapping) as world:
        token = world.token()
        assert [bool(await world.verify(token, after_s)) for after_s in (0, 29, 30)] == [True, True, False]


async def test_refuses_symmetric_unsigned_and_foreign_tokens():
    async with a_world() as world:
        valid = world.token()
        head, body, signature = valid.split(".")
        tokens = [
            signed_with_the_public_key(body),
            world.token(OTHER),
            world.token(EC, "ES256", {"kid": "rsa"}),
            f"{part({'alg': 'none', 'kid': 'rsa'})}.{body}.",
            f"{head}.{body}.{signature[:-4]}AAAA",
            f"{head}.{body}",
            "a.b.c",
            "..",
            "\u00e4.\u00e4.\u00e4",
            "csk-key",
        ]
        assert await world.verify(valid) is not None
        assert [await world.verify(token) for token in tokens] == [None] * len(tokens)


async def test_reads_a_new_key_once_and_unknown_keys_do_not_flood_the_provider():
    async with a_world() as world:
        world.provider.keys = [EC]
        await until(lambda: world.provider.reads == 1)
        world.provider.keys = [EC, RSA]
        assert await world.verify(world.token()) is None, "the last reading is too recent"

        world.now_s += MIN_REFRESH_S
        found = await asyncio.gather(*(world.verify(world.token()) for _ in range(20)))
        assert None not in found
        unknown = jwk.RSAKey.generate_key(2048, {"kid": "unknown"}, private=True)
        assert await asyncio.gather(*(world.verify(world.token(unknown)) for _ in range(20))) == [None] * 20
        assert world.provider.reads == 2


async def test_a_withdrawn_key_stops_to_count():
    async with a_world() as world:
        assert await world.verify(world.token()) is not None
        world.provider.keys = [EC]
        world.now_s += MIN_REFRESH_S
        unknown = jwk.ECKey.generate_key("P-256", {"kid": "unknown"}, private=True)
        assert await world.verify(world.token(unknown, "ES256")) is None, "this reads the key set again"
        assert await world.verify(world.token()) is None


async def test_an_outage_keeps_the_last_keys():
    async with a_world() as world:
        assert await world.verify(world.token()) is not None
        world.provider.status = 503
        world.now_s += MIN_REFRESH_S
        unknown = jwk.ECKey.generate_key("P-256", {"kid": "unknown"}, private=True)
        assert await world.verify(world.token(unknown, "ES256")) is None
        assert await world.verify(world.token()) is not None


async def test_before_the_first_key_set_the_client_comes_back_later():
    async with a_world(status=503) as world:
        with pytest.raises(ApiError) as error:
            await world.verify(world.token())
        assert (error.value.status, error.value.code) == (503, "identity_provider_unavailable")
        assert await world.verify("csk-key") is None


async def test_a_configuration_of_another_issuer_does_not_count():
    async with a_world() as world:
        world.provider.issuer += "/"
        with pytest.raises(ApiError):
            await world.verify(world.token())


async def test_the_default_policy_replaces_claims_that_are_missing():
    mapping = ClaimMapping("system", {"models": "chat_models"}, {"models": "small", "priority": "-3"})
    async with a_world(mapping=mapping) as world:
        caller = await world.verify(world.token(chat_models=None))
    assert caller is not None
    assert caller.policy == KeyPolicy(models=frozenset({"small"}), priority=-3)


async def test_names_of_callers_are_safe_for_labels_and_different_for_different_subjects():
    subjects = ["auth0|5", "auth0%7C5", 'a" b\n', "a_ b", "\u00fc@x.de", "csk/1"]
    async with a_world() as world:
        callers = [await world.verify(world.token(sub=subject)) for subject in subjects]
    names = [caller.label for caller in callers if caller]
    assert len(set(names)) == len(subjects)
    assert names[0] == "system/oidc:auth0|5"
    assert all(name.isascii() and not set(name) & set('" \n\\') for name in names)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "kid", "use", "alg", "n", "e", "x", "y", "crv", "k", "d", "key_ops"]),
        st.sampled_from(["RSA", "EC", "OKP", "oct", "sig", "enc", "P-256", "Ed25519", "AQAB", "A" * 400, ""])
        | st.text(max_size=4)
        | st.integers()
        | st.none()
        | st.lists(st.text(max_size=3), max_size=2),
    )
)
def test_a_key_set_with_any_entry_gives_its_valid_keys(entry: dict[str, Any]):
    found = read_key_set({"keys": [entry, EC.as_dict(private=False), 5]})

    assert "ec" in found


async def test_malformed_claims_are_logged_once(caplog: pytest.LogCaptureFixture):
    async with a_world() as world:
        for _ in range(3):
            await world.verify(world.token(chat_priority="high"))
    lines = [record for record in caplog.records if record.message == "claims of a token are not a policy"]
    assert [record.error for record in lines] == [  # type: ignore[attr-defined]
        "priority must be a whole number from -100 to 100, found 'high'"
    ]
