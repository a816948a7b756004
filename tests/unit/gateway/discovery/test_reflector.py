"""The reflector has the API server's objects, whatever happens to lists and watches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from chatscale_gateway.discovery.api_server import (
    ApiServer,
    ApiServerError,
    Event,
    EventType,
    Page,
    Resource,
)
from chatscale_gateway.discovery.reflector import Backoff, Reflector
from tests.support.clock import virtual_time_loop
from tests.support.gateway_pods import FakeApiServer, Manifest, serving, until

PODS = Resource("/api/v1/pods", "app=x")


def an_object(name: str, version: int = 1, value: str = "") -> Manifest:
    return {"metadata": {"uid": name, "name": name, "resourceVersion": str(version)}, "value": value}


def an_event(kind: str, found: Manifest) -> Manifest:
    return {"type": kind, "object": found}


def keep(manifest: Any, _before: str | None) -> str | None:
    return None if manifest["value"] == "unwanted" else manifest["value"]


def a_reflector(source: Any, changed: Callable[[], None] = lambda: None, **options: Any) -> Reflector[str]:
    options.setdefault("backoff", Backoff(lambda: 0.0, first_s=0.002, longest_s=0.01))
    return Reflector(source, PODS, keep=keep, changed=changed, **options)


@asynccontextmanager
async def following(fake: FakeApiServer, **options: Any) -> AsyncIterator[Reflector[str]]:
    async def token() -> str:
        return "secret"

    async with serving(fake.handle) as server, aiohttp.ClientSession() as session:
        reflector = a_reflector(ApiServer(session, str(server.make_url("")), token), **options)
        task = asyncio.create_task(reflector.run())
        try:
            yield reflector
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_lists_page_by_page_with_credentials_and_is_listed_only_after_the_last_page():
    fake = FakeApiServer()
    fake.items = [an_object(str(number)) for number in range(7)]
    fake.page_items = 3
    async with following(fake) as reflector:
        assert not reflector.listed
        await until(lambda: reflector.listed)

        assert set(reflector.objects) == {str(number) for number in range(7)}
        assert fake.lists == 3
        assert fake.authorization == "Bearer secret"


async def test_applies_events_and_leaves_out_what_is_not_kept():
    fake = FakeApiServer()
    fake.items = [an_object("a", value="1"), an_object("b", value="1")]
    await fake.scripts.put(
        [
            an_event("MODIFIED", an_object("a", 2, "2")),
            an_event("ADDED", an_object("c", 3, "1")),
            an_event("DELETED", an_object("b", 4)),
            an_event("MODIFIED", an_object("c", 5, "unwanted")),
        ]
    )
    async with following(fake) as reflector:
        await until(lambda: dict(reflector.objects) == {"a": "2"})


async def test_continues_from_the_last_bookmark_without_a_list():
    fake = FakeApiServer()
    await fake.scripts.put([an_event("BOOKMARK", {"metadata": {"resourceVersion": "77"}}), "end"])
    async with following(fake):
        await until(lambda: len(fake.watches) == 2)

    assert [each["resourceVersion"] for each in fake.watches] == ["1", "77"]
    assert all(each["allowWatchBookmarks"] == "true" and each["labelSelector"] == "app=x" for each in fake.watches)
    assert fake.lists == 1


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(["gone"], id="410 as status"),
        pytest.param([an_event("ERROR", {"kind": "Status", "code": 410, "message": "too old"})], id="410 as event"),
        pytest.param([an_event("ADDED", an_object("b", 2)), "break"], id="broken connection"),
        pytest.param(['{"type": "ADD\n'], id="half an event"),
        pytest.param([an_event("SHRUNK", an_object("b", 2))], id="unknown event"),
        pytest.param(['{"type": "ADDED"}\n'], id="event without an object"),
    ],
)
async def test_lists_again_after_a_broken_watch_and_forgets_what_it_missed(script: list[Any]):
    fake = FakeApiServer()
    fake.items = [an_object("a", value="1")]
    async with following(fake) as reflector:
        await until(lambda: len(fake.watches) == 1)
        fake.items, fake.version = [an_object("c", value="1")], 9
        await fake.scripts.put(script)
        await until(lambda: len(fake.watches) == 2)

        assert dict(reflector.objects) == {"c": "1"}
        assert fake.watches[1]["resourceVersion"] == "9"


async def test_lists_again_regularly_even_if_the_watch_says_nothing():
    fake = FakeApiServer()
    fake.items = [an_object("a", value="1")]
    async with following(fake, relist_s=0.05) as reflector:
        await until(lambda: reflector.listed)
        fake.items = []  # a deletion that no watch reports
        await until(lambda: not reflector.objects)


async def test_keeps_the_picture_while_lists_fail():
    fake = FakeApiServer()
    fake.items = [an_object("a", value="1")]
    async with following(fake) as reflector:
        await until(lambda: len(fake.watches) == 1)
        fake.list_status = 503
        await fake.scripts.put(["break"])
        await until(lambda: fake.lists >= 4)

        assert dict(reflector.objects) == {"a": "1"}


async def test_a_list_without_a_change_reports_none():
    fake, changes = FakeApiServer(), []
    fake.items = [an_object("a", value="1")]
    async with following(fake, relist_s=0.02, changed=lambda: changes.append(1)):
        await until(lambda: fake.lists >= 4)

    assert changes == [1]


async def test_a_manifest_that_cannot_be_read_does_not_end_it(caplog: pytest.LogCaptureFixture):
    fake = FakeApiServer()
    fake.items = [{"metadata": {"uid": "a", "resourceVersion": "1"}}]  # no value
    async with following(fake) as reflector:
        await until(lambda: fake.lists >= 2)
        fake.items = [an_object("b", value="1")]
        await until(lambda: dict(reflector.objects) == {"b": "1"})

    assert "cannot follow" in caplog.text


class Outage:
    """An API server that is away from second 10 to second 70."""

    def __init__(self) -> None:
        self.names = ["a"]
        self.attempts: list[float] = []

    def _check(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if 10 <= now_s < 70:
            self.attempts.append(now_s)
            raise ApiServerError("connection refused")

    async def list_pages(self, _resource: Resource) -> AsyncGenerator[Page, None]:
        self._check()
        yield Page(tuple(an_object(name, value="1") for name in self.names), "1", "")

    async def watch(self, _resource: Resource, _version: str) -> AsyncGenerator[Event, None]:
        loop = asyncio.get_running_loop()
        yield Event(EventType.BOOKMARK, {"metadata": {"resourceVersion": "1"}})
        await asyncio.sleep(min(30.0, 10 - loop.time()) if loop.time() < 10 else 30.0)
        self._check()


def test_an_outage_of_a_minute_freezes_the_picture_and_ends_with_a_list():
    async def scenario() -> None:
        outage, fractions = Outage(), iter([0.0, 0.9] * 100)
        reflector = a_reflector(outage, backoff=Backoff(lambda: next(fractions)))
        task = asyncio.create_task(reflector.run())
        await asyncio.sleep(40)
        outage.names = ["b"]
        await asyncio.sleep(29)

        assert dict(reflector.objects) == {"a": "1"}
        waits = [after - before for before, after in zip(outage.attempts, outage.attempts[1:], strict=False)]
        assert 6 <= len(outage.attempts) <= 14
        assert max(waits) <= 10

        await asyncio.sleep(11)
        assert dict(reflector.objects) == {"b": "1"}
        task.cancel()

    loop = virtual_time_loop()
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


def test_back_off_doubles_to_a_limit_and_starts_again_after_success():
    backoff = Backoff(lambda: 0.5, first_s=1.0, longest_s=4.0)

    assert [backoff.next_s() for _ in range(4)] == [0.75, 1.5, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_s() == 0.75
