"""Who the customer of a request is: secret, key set, outage and rotation."""

from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, web
from joserfc import jwk, jwt

from chatscale.api.v1alpha1.shopassistant import Identity
from chatscale_assistant.tools.customers import MAX_BYTES, MAX_KEEP_S, MIN_REFRESH_S, REFRESH_S, Customers, fetching
from hack.shop.tokens import sign_customer_token

NOW = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
SECRET = b"0123456789abcdef0123456789abcdef"
JWKS = Identity.model_validate({"jwks": "https://shop.invalid/keys"})


class KeySource:
    def __init__(self, *keys):
        self.keys, self.reads, self.away = list(keys), 0, False

    async def fetch(self, _url):
        self.reads += 1
        if self.away:
            raise OSError("away")
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


def key(name):
    return jwk.ECKey.generate_key("P-256", {"kid": name})


def token(signing_key, audience="shop"):
    claims = {"sub": "sara_1", "aud": audience, "exp": NOW_S + 600}
    return jwt.encode({"alg": "ES256", "kid": signing_key.kid}, claims, signing_key, algorithms=["ES256"])


def customers(source, clock, tmp_path):
    return Customers(JWKS, "shop", tmp_path / "none", fetch=source.fetch, clock=clock)


async def test_the_shops_secret_is_read_from_its_file(tmp_path):
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    identity = Identity.model_validate({"secretRef": {"name": "shop", "key": "key"}})
    verified = Customers(identity, "helper", tmp_path / "key", fetch=KeySource().fetch, clock=Clock())
    own = sign_customer_token("sara_1", SECRET, audience="helper", now_s=NOW_S)
    other = sign_customer_token("sara_1", SECRET, audience="shop", now_s=NOW_S)
    assert [await verified.customer(each, NOW) and "found" for each in (own, other, "", "x.y.z")] == [
        "found",
        *[None] * 3,
    ]


async def test_a_key_set_is_read_once_for_many_tokens(tmp_path):
    first, clock = key("one"), Clock()
    source = KeySource(first)
    verified = customers(source, clock, tmp_path)
    for _ in range(3):
        assert (await verified.customer(token(first), NOW)).id == "sara_1"
    assert source.reads == 1


async def test_a_new_key_is_read_at_once_but_unknown_keys_cause_no_flood(tmp_path):
    first, second, clock = key("one"), key("two"), Clock()
    source = KeySource(first)
    verified = customers(source, clock, tmp_path)
    await verified.customer(token(first), NOW)
    source.keys.append(second)
    for _ in range(5):
        assert await verified.customer(token(second), NOW) is None
    assert source.reads == 1
    clock.now_s += MIN_REFRESH_S
    assert (await verified.customer(token(second), NOW)).id == "sara_1"
    assert source.reads == 2


async def test_a_withdrawn_key_stops_to_count(tmp_path):
    first, clock = key("one"), Clock()
    source = KeySource(first)
    verified = customers(source, clock, tmp_path)
    await verified.customer(token(first), NOW)
    source.keys = [key("two")]
    clock.now_s += REFRESH_S
    assert await verified.customer(token(first), NOW) is None


async def test_an_outage_keeps_the_last_key_set_for_a_day(tmp_path):
    first, clock = key("one"), Clock()
    source = KeySource(first)
    verified = customers(source, clock, tmp_path)
    await verified.customer(token(first), NOW)
    source.away = True
    clock.now_s += REFRESH_S
    assert (await verified.customer(token(first), NOW)).id == "sara_1"
    clock.now_s += MAX_KEEP_S
    assert await verified.customer(token(first), NOW) is None


async def test_documents_are_read_without_redirects_and_with_a_bound(aiohttp_server):
    async def keys(_request):
        return web.json_response({"keys": []})

    async def elsewhere(_request):
        raise web.HTTPFound("/keys")

    async def long(_request):
        return web.Response(text="[" + " " * MAX_BYTES + "]")

    app = web.Application()
    app.add_routes([web.get("/keys", keys), web.get("/elsewhere", elsewhere), web.get("/long", long)])
    server = await aiohttp_server(app)
    async with ClientSession() as session:
        fetch = fetching(session)
        assert await fetch(str(server.make_url("/keys"))) == {"keys": []}
        with pytest.raises(ValueError, match="status 302"):
            await fetch(str(server.make_url("/elsewhere")))
        with pytest.raises(ValueError, match="more than"):
            await fetch(str(server.make_url("/long")))
