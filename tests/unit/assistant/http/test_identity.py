"""Who the customer is, from the shop's token."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, web
from joserfc import jwk, jwt

from chatscale.api.v1alpha1.shopassistant import Identity
from chatscale_assistant.http.identity import KEY_SET_AGE_S, RETRY_S, CustomerIdentity
from chatscale_assistant.settings import SecretFiles

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SECRET = "s" * 40


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Shop:
    """Serves its key set."""

    keys: list[jwk.ECKey] = field(default_factory=list)
    status: int = 200
    requests: int = 0

    async def serve(self, _http: web.Request) -> web.Response:
        self.requests += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]}, status=self.status)


def claims(**more):
    return {"sub": "ann", "aud": "shop", "exp": int(NOW.timestamp()) + 60, **more}


def signed(key, header, **more) -> str:
    return jwt.encode(header, claims(**more), key)


@asynccontextmanager
async def identity_of(folder, spec, clock=None):
    async with ClientSession() as session:
        identity = Identity.model_validate(spec)
        yield CustomerIdentity(identity, "shop", SecretFiles(folder), session, clock or Clock(), lambda: NOW)


@asynccontextmanager
async def with_key_set(folder, shop, clock):
    app = web.Application()
    app.router.add_get("/keys", shop.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with identity_of(folder, {"jwks": f"http://127.0.0.1:{runner.addresses[0][1]}/keys"}, clock) as found:
            yield found
    finally:
        await runner.cleanup()


async def test_a_token_of_the_shops_secret_names_the_customer(tmp_path):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/key").write_text(SECRET)
    key = jwk.OctKey.import_key(SECRET)
    async with identity_of(tmp_path, {"secretRef": {"name": "a", "key": "b"}}) as identity:
        found = await identity.identify(signed(key, {"alg": "HS256"}))
        expired = await identity.identify(signed(key, {"alg": "HS256"}, exp=1))
        other = await identity.identify(signed(key, {"alg": "HS256"}, aud="other"))
        text = await identity.identify("planted")

    assert found is not None
    assert found.id == "ann"
    assert (expired, other, text) == (None, None, None)


@pytest.mark.parametrize("secret", ["", "short"])
async def test_without_a_good_secret_every_customer_is_unknown(tmp_path, secret):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/key").write_text(secret)
    async with identity_of(tmp_path, {"secretRef": {"name": "a", "key": "b"}}) as identity:
        assert await identity.identify(signed(jwk.OctKey.import_key(SECRET), {"alg": "HS256"})) is None


async def test_a_new_key_of_the_shop_counts_and_forged_tokens_cause_few_requests(tmp_path):
    first, second = (jwk.ECKey.generate_key("P-256", {"kid": kid}) for kid in ("one", "two"))
    shop, clock = Shop([first]), Clock()
    async with with_key_set(tmp_path, shop, clock) as identity:
        assert await identity.identify(signed(first, {"alg": "ES256", "kid": "one"}))
        for _ in range(5):
            assert await identity.identify(signed(second, {"alg": "ES256", "kid": "two"})) is None
        assert shop.requests == 1
        shop.keys.append(second)
        clock.now_s += RETRY_S
        assert await identity.identify(signed(second, {"alg": "ES256", "kid": "two"}))

    assert shop.requests == 2


async def test_keys_last_through_a_short_outage_and_not_for_ever(tmp_path):
    key = jwk.ECKey.generate_key("P-256", {"kid": "one"})
    shop, clock = Shop([key]), Clock()
    token = signed(key, {"alg": "ES256", "kid": "one"})
    async with with_key_set(tmp_path, shop, clock) as identity:
        assert await identity.identify(token)
        shop.status = 500
        clock.now_s += KEY_SET_AGE_S
        assert await identity.identify(token)
        clock.now_s += KEY_SET_AGE_S
        assert await identity.identify(token) is None


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        pytest.param(
            "short",
            "spec.identity.secretRef: the secret has 5 bytes, expected at least 32; every customer is unknown",
            id="short",
        ),
        pytest.param(SECRET, "", id="good"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_reported_without_its_text(tmp_path, secret, expected):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/key").write_text(secret)
    async with identity_of(tmp_path, {"secretRef": {"name": "a", "key": "b"}}) as identity:
        assert identity.problem() == expected


async def test_a_key_set_that_cannot_be_read_is_reported_before_any_customer_comes(tmp_path):
    shop = Shop([jwk.ECKey.generate_key()], status=500)
    clock = Clock()
    async with with_key_set(tmp_path, shop, clock) as identity:
        await identity.read_key_set_if_due()
        assert "spec.identity.jwks: expected a JSON Web Key Set at http://127.0.0.1" in identity.problem()
        assert identity.problem().endswith("/keys, found status 500; every customer is unknown")

        shop.status = 200
        clock.now_s += RETRY_S
        await identity.read_key_set_if_due()
        assert (identity.problem(), shop.requests) == ("", 2)
        await identity.read_key_set_if_due()
        assert shop.requests == 2
