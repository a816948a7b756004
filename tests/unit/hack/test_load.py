"""The load generator tells the truth: every request has one fate, and rates are followed."""

from aiohttp import web
from aiohttp.test_utils import TestServer

from hack.load import Fate, LoadReport, Outcome, run_load

WHOLE = (
    b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
CUT = WHOLE[: WHOLE.index(b"data: [DONE]")]
FAILED = b'data: {"error":{"message":"engine failed"}}\n\n'


async def _load_against(handler) -> LoadReport:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    async with TestServer(app) as server:
        return await run_load(
            f"http://127.0.0.1:{server.port}", "shop", rate_per_s=lambda _at_s: 200.0, duration_s=0.1, max_tokens=1
        )


async def _fates(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> set[Fate]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, status=status, headers=headers)

    return {outcome.fate for outcome in (await _load_against(answer)).outcomes}


async def test_a_whole_stream_is_answered():
    assert await _fates(WHOLE) == {Fate.ANSWERED}


async def test_a_stream_without_its_end_is_lost():
    assert await _fates(CUT) == {Fate.LOST}


async def test_an_error_within_a_stream_is_lost():
    assert await _fates(FAILED) == {Fate.LOST}


async def test_a_refusal_says_when_to_come_back_or_is_lost():
    assert await _fates(b"", status=429, headers={"Retry-After": "2"}) == {Fate.REFUSED}
    assert await _fates(b"", status=429) == {Fate.LOST}


async def test_a_sale_after_a_calm_begins_on_time():
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=WHOLE)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        report = await run_load(
            f"http://127.0.0.1:{server.port}",
            "shop",
            rate_per_s=lambda at_s: 100.0 if at_s >= 1 else 0.0,
            duration_s=1.5,
            max_tokens=1,
        )

    assert 20 < len(report.outcomes) < 90
    assert min(outcome.sent_at_s for outcome in report.outcomes) >= 1


async def test_each_request_has_the_key_of_its_time():
    sent: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        return web.Response(body=WHOLE)

    keys = iter(["first", *["second"] * 1000])
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        report = await run_load(
            f"http://127.0.0.1:{server.port}",
            "shop",
            rate_per_s=lambda _at_s: 200.0,
            duration_s=0.1,
            max_tokens=1,
            key=lambda: next(keys),
        )

    assert {"Bearer first", "Bearer second"} == set(sent)
    assert report.count(Fate.ANSWERED) == len(sent)


def test_the_report_spells_losses_out():
    report = LoadReport([Outcome(Fate.ANSWERED, "", 0.0, 0.5), Outcome(Fate.LOST, "cut", 0.0)])

    assert str(report) == "2 sent, 1 answered, 0 refused, 1 lost (1x cut)"
    assert report.percentile_ttft_s(50) == 0.5
