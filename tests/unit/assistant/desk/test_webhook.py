"""The signed webhook, against a real HTTP server."""

import json
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from chatscale.api.v1alpha1.shopassistant import Language, OpeningHours
from chatscale_assistant.desk.outgoing import Outgoing, desk_session
from chatscale_assistant.desk.signature import is_signed
from chatscale_assistant.desk.webhook import WebhookDesk
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.settings import SecretFiles

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CASE = Conversation(
    "case-1", (Turn(Speaker.CUSTOMER, "planted question"),), NOW, customer=Customer("ann"),
)  # fmt: skip


@asynccontextmanager
async def desk(folder, statuses, *, url=None, **more):
    """A desk whose server answers with the statuses, one after the other."""
    requests = []

    async def receive(http: web.Request) -> web.Response:
        requests.append((dict(http.headers), await http.read()))
        return web.Response(status=statuses[min(len(requests), len(statuses)) - 1], headers={"Location": "/other"})

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (folder / "desk").mkdir()
    (folder / "desk/url").write_text(url or f"http://127.0.0.1:{runner.addresses[0][1]}/hook\n")
    (folder / "desk/signature").write_text("s" * 32)
    try:
        async with desk_session() as session:
            files = SecretFiles(folder)
            yield WebhookDesk(Outgoing(session, 0.5), files, "demo/shop", clock=NOW.timestamp, **more), requests
    finally:
        await runner.cleanup()


async def hand_over(found: WebhookDesk, case: Conversation = CASE) -> bool:
    return await found.hand_over(case, summary="planted summary", language=Language.FRENCH, reason="requested")


async def test_a_hand_over_is_signed_and_has_summary_and_transcript(tmp_path):
    async with desk(tmp_path, [200], hours=OpeningHours()) as (found, requests):
        assert await hand_over(found)

    ((headers, body),) = requests
    assert is_signed(
        "s" * 32, headers["X-Chatscale-Timestamp"], body, headers["X-Chatscale-Signature"], now_s=NOW.timestamp()
    )
    assert json.loads(body) == {
        "event": "hand_over", "id": headers["Idempotency-Key"], "assistant": "demo/shop", "conversation": "case-1",
        "customer": "ann", "language": "fr", "reason": "requested", "summary": "planted summary",
        "transcript": [{"speaker": "customer", "text": "planted question"}], "at": "2026-03-01T12:00:00+00:00",
        "open": False, "opens_at": "2026-03-02T09:00:00+00:00",
    }  # fmt: skip


async def test_a_desk_that_fails_is_tried_again_with_the_same_key(tmp_path):
    async with desk(tmp_path, [500, 429, 204]) as (found, requests):
        assert await hand_over(found)

    assert len(requests) == 3
    assert len({headers["Idempotency-Key"] for headers, _ in requests}) == 1


@pytest.mark.parametrize("status", [400, 302])
async def test_a_refusal_and_a_redirect_are_no_success_and_no_reason_to_try_again(tmp_path, status):
    async with desk(tmp_path, [status]) as (found, requests):
        assert not await hand_over(found)

    assert len(requests) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x/", "no address", "http://127.0.0.1:1/"])
async def test_a_desk_that_cannot_be_reached_is_no_success(tmp_path, url):
    async with desk(tmp_path, [200], url=url) as (found, requests):
        assert not await hand_over(found)

    assert requests == []


async def test_cases_without_an_id_of_the_shop_are_never_taken_for_each_other(tmp_path):
    """Two customers who write the same words must both reach a person."""
    unnamed = Conversation("hash", CASE.turns, NOW, named=False)
    async with desk(tmp_path, [200]) as (found, requests):
        await hand_over(found, unnamed)
        await hand_over(found, unnamed)

    assert len({headers["Idempotency-Key"] for headers, _ in requests}) == 2


async def test_logs_have_nothing_of_the_conversation(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    async with desk(tmp_path, [500]) as (found, _):
        assert not await hand_over(found)

    assert caplog.records
    assert not any("planted" in str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize(
    ("key", "timestamp", "signature", "age_s", "expected"),
    [
        ("k", "100", "sha256=fcd92b6b", 0, False),
        ("", "100", None, 0, False),
        ("k", "100", None, 0, True),
        ("k", "100", None, 301, False),
        ("k", "1e2", None, 0, False),
    ],
)
def test_a_signature_counts_for_five_minutes(key, timestamp, signature, age_s, expected):
    from chatscale_assistant.desk.signature import sign

    found = signature or sign(key, timestamp, b"body")
    assert is_signed(key, timestamp, b"body", found, now_s=100 + age_s) is expected
