"""Keys follow their Secrets, with the real reflector and HTTP: a change counts at once, an outage changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from chatscale_contract.gateway.keys import hash_key
from chatscale_gateway import metrics
from chatscale_gateway.discovery.api_server import ApiServer, Event, EventType, Page, Resource
from chatscale_gateway.discovery.key_discovery import LONGEST_RETRY_S, KeyDiscovery
from tests.support.gateway_pods import FakeApiServer, Manifest, a_key_secret, serving, until

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LATER = "2026-11-27T13:00:00Z"


@dataclass
class Following:
    discovery: KeyDiscovery
    fake: FakeApiServer

    async def send(self, *events: tuple[str, Manifest]) -> None:
        await self.fake.scripts.put([{"type": kind, "object": manifest} for kind, manifest in events])

    def opens(self, token: str, now: datetime = NOW) -> bool:
        ring = self.discovery.ring
        return ring is not None and ring.authenticate(token, now) is not None


@asynccontextmanager
async def following(
    *secrets: Manifest, fake: FakeApiServer | None = None, **options: float
) -> AsyncIterator[Following]:
    fake = fake or FakeApiServer()
    fake.items = list(secrets)

    async def token() -> str:
        return "t"

    async with serving(fake.handle) as server, aiohttp.ClientSession() as session:
        api_server = ApiServer(session, str(server.make_url("")), token)
        discovery = KeyDiscovery(api_server, api_server, ("demo",), "system", wall_clock=NOW.timestamp, **options)
        task = asyncio.create_task(discovery.run())
        try:
            yield Following(discovery, fake)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def key_errors(reason: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("gateway_key_errors", {"reason": reason})


async def test_reads_the_labelled_secrets_of_its_namespaces():
    async with following(a_key_secret(sha256=hash_key("one"))) as world:
        await world.discovery.wait_until_ready()
        await until(lambda: bool(world.fake.watches))

        assert world.opens("one")
        assert world.fake.watches[0]["labelSelector"] == "chatscale.dev/api-key=true"


class Lists:
    """An API server whose lists a test releases one by one."""

    def __init__(self) -> None:
        self.released: dict[str, asyncio.Event] = {}

    async def list_pages(self, resource: Resource) -> AsyncGenerator[Page, None]:
        await self.released.setdefault(resource.path, asyncio.Event()).wait()
        namespace = resource.path.split("/")[4] if "namespaces" in resource.path else "all"
        yield Page((a_key_secret(namespace=namespace, sha256=hash_key(namespace)),), "1", "")

    async def watch(self, _resource: Resource, _version: str) -> AsyncGenerator[Event, None]:
        await asyncio.Event().wait()
        yield Event(EventType.BOOKMARK, {})

    async def create(self, _path: str, _manifest: Manifest) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("namespaces", "paths"),
    [
        pytest.param((), ["/api/v1/secrets"], id="all"),
        pytest.param(("a", "b"), ["/api/v1/namespaces/a/secrets", "/api/v1/namespaces/b/secrets"], id="named"),
    ],
)
async def test_keys_count_only_when_all_namespaces_are_read(namespaces: tuple[str, ...], paths: list[str]):
    lists = Lists()
    discovery = KeyDiscovery(lists, lists, namespaces, "system")
    task = asyncio.create_task(discovery.run())
    for path in paths:
        await until(lambda: len(lists.released) == len(paths))
        assert discovery.ring is None
        lists.released[path].set()
    await asyncio.wait_for(discovery.wait_until_ready(), 5)
    assert discovery.ring is not None
    assert len(discovery.ring) == len(paths)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_is_not_ready_before_the_first_complete_list():
    fake = FakeApiServer()
    fake.list_status = 403
    async with following(fake=fake) as world:
        await until(lambda: fake.lists >= 2)
        assert world.discovery.ring is None

        fake.list_status = 200
        await world.discovery.wait_until_ready()
        assert world.discovery.ring is not None


async def test_promise_25_a_revoked_or_changed_key_counts_as_soon_as_the_watch_reports_it():
    async with following(a_key_secret(sha256=hash_key("one"))) as world:
        await world.discovery.wait_until_ready()
        await world.send(
            ("ADDED", a_key_secret("batch", sha256=hash_key("two"))),
            ("MODIFIED", a_key_secret(sha256=hash_key("one"), maxConcurrency="2", version=2)),
        )
        await until(lambda: world.opens("two"))
        ring = world.discovery.ring
        assert ring is not None
        caller = ring.authenticate("one", NOW)
        assert caller is not None
        assert caller.policy.max_concurrency == 2

        await world.send(("DELETED", a_key_secret("batch", sha256=hash_key("two"), version=3)))
        await until(lambda: not world.opens("two"), within_s=5)
        assert world.opens("one")


async def test_promise_25_a_rotation_has_no_moment_without_a_valid_key():
    old, new = hash_key("old"), hash_key("new")
    async with following(a_key_secret(sha256=old)) as world:
        await world.discovery.wait_until_ready()
        rotated = a_key_secret(sha256=new, previousSha256=old, previousExpires=LATER, version=2)
        await world.send(("MODIFIED", rotated))

        def rotation_is_seen() -> bool:
            assert world.opens("old")
            return world.opens("new")

        await until(rotation_is_seen, within_s=5)
        assert not world.opens("old", NOW + timedelta(hours=1))
        assert world.opens("new", NOW + timedelta(hours=1))


async def test_promise_25_a_missed_deletion_counts_after_a_broken_watch():
    async with following(a_key_secret(sha256=hash_key("one"))) as world:
        await world.discovery.wait_until_ready()
        world.fake.items = []
        await world.fake.scripts.put(["break"])
        await until(lambda: not world.opens("one"), within_s=5)


async def test_promise_25_after_an_outage_keys_are_read_again_within_five_seconds():
    async with following(a_key_secret(sha256=hash_key("one"))) as world:
        await world.discovery.wait_until_ready()
        world.fake.list_status = 503
        await world.fake.scripts.put(["break"])
        await until(lambda: world.fake.lists >= 3)
        assert world.opens("one")

        world.fake.items, world.fake.list_status = [a_key_secret(sha256=hash_key("two"))], 200
        await until(lambda: world.opens("two") and not world.opens("one"), within_s=5)
    assert LONGEST_RETRY_S < 5


async def test_an_outage_keeps_the_last_keys_and_their_expiry():
    async with following(a_key_secret(sha256=hash_key("one"), expires=LATER)) as world:
        await world.discovery.wait_until_ready()
        world.fake.list_status = 503
        await world.fake.scripts.put(["break"])
        await until(lambda: world.fake.lists >= 3)

        assert world.opens("one")
        assert not world.opens("one", NOW + timedelta(hours=1))


async def test_a_malformed_secret_is_off_with_one_event_and_the_others_stay(caplog: pytest.LogCaptureFixture):
    async with following(a_key_secret(sha256=hash_key("one")), a_key_secret("batch", sha256=hash_key("two"))) as world:
        await world.discovery.wait_until_ready()
        bad = a_key_secret(sha256=hash_key("one"), maxConcurrency="many", version=2)
        await world.send(("MODIFIED", bad), ("MODIFIED", bad), ("MODIFIED", bad))
        await until(lambda: len(world.fake.created) == 1)

        assert not world.opens("one")
        assert world.opens("two")
        assert key_errors("malformed") == 1
        [event] = world.fake.created.values()
        assert event["reason"] == "MalformedApiKey"
        assert event["message"] == (
            "maxConcurrency must be a whole number from 1 to 1000000000000, found 'many'; the key is off"
        )
        assert [record.message for record in caplog.records].count("API key is off") == 1

        await world.send(("MODIFIED", a_key_secret(sha256=hash_key("one"), version=3)))
        await until(lambda: world.opens("one"))
        assert key_errors("malformed") == 0


async def test_two_gateways_make_one_event():
    bad = a_key_secret(sha256="x")
    async with following(bad) as one, following(bad, fake=one.fake) as two:
        await one.discovery.wait_until_ready()
        await two.discovery.wait_until_ready()
        await until(lambda: len(one.fake.created) == 1)


async def test_an_event_that_the_api_server_refuses_is_tried_again():
    fake = FakeApiServer()
    fake.create_status = 403
    async with following(a_key_secret(sha256="x"), fake=fake, event_retry_s=0.01) as world:
        await world.discovery.wait_until_ready()
        fake.create_status = 201
        await until(lambda: len(fake.created) == 1)


async def test_secrets_with_one_hash_are_off_and_both_get_an_event():
    same = hash_key("one")
    async with following(a_key_secret(sha256=same), a_key_secret("copy", sha256=same)) as world:
        await until(lambda: len(world.fake.created) == 2)

        assert not world.opens("one")
        assert {event["reason"] for event in world.fake.created.values()} == {"DuplicateApiKey"}
        assert key_errors("duplicate") == 2

        await world.send(("DELETED", a_key_secret("copy", sha256=same, version=2)))
        await until(lambda: world.opens("one"))
