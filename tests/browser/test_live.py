"""The live page in a browser: its numbers, its states, its forms on a phone and in the dark."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from PIL import Image
from playwright.async_api import Browser, Page, expect

from chatscale_gateway.keys.key_ring import KeyRing
from hack.paths import ROOT
from tests.browser.live_world import (
    CHAT_KEY,
    LIVE_KEY,
    MARKUP,
    STILL,
    LiveGateway,
    WrittenState,
    a_live_gateway,
    black_friday,
)
from tests.browser.tab import PICTURES, assert_accessible

pytestmark = pytest.mark.asyncio(loop_scope="session")
TIMEOUT_MS = 20_000
SIZES = [pytest.param((390, 844), id="phone"), pytest.param((1280, 800), id="desktop")]
THEMES = [pytest.param("light", id="light"), pytest.param("dark", id="dark")]


@asynccontextmanager
async def a_live_page(
    browser: Browser, gateway: LiveGateway, *, key: str | None = LIVE_KEY, path: str = "/live", **options: object
) -> AsyncIterator[Page]:
    """The page with an empty storage. An error of a script or of the content security policy fails the test."""
    settings = {"viewport": {"width": 1280, "height": 800}, "timezone_id": "UTC", **options}
    context = await browser.new_context(**settings)
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Content Security" in line.text else None)
    if key:
        await page.add_init_script(f"sessionStorage.setItem('chatscale.key', '{key}')")
    await page.goto(gateway.url + path)
    yield page
    await context.close()
    assert not errors


@dataclass
class Restartable:
    """A gateway that can stop, and start again on its port."""

    state: WrittenState
    port: int = 0

    async def start(self) -> LiveGateway:
        self._stack = AsyncExitStack()
        gateway = await self._stack.enter_async_context(a_live_gateway(self.state, port=self.port))
        self.port = gateway.port
        return gateway

    async def stop(self) -> None:
        await self._stack.aclose()


async def numbers_of(page: Page) -> dict[str, str]:
    """The table beside the charts: label to value."""
    await expect(page.locator("#numbers tbody tr").first).to_be_visible(timeout=TIMEOUT_MS)
    rows = await page.locator("#numbers tbody tr").all()
    return {await row.locator("th").inner_text(): await row.locator("td").first.inner_text() for row in rows}


async def test_shows_the_numbers_of_the_endpoint(browser: Browser):
    async with a_live_gateway(WrittenState(lambda _second: (STILL,))) as gateway, a_live_page(browser, gateway) as page:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {LIVE_KEY}"}) as client,
            client.get(gateway.url + "/live/data") as response,
        ):
            model = (await response.json())["models"][0]
        assert await numbers_of(page) == {
            "Replicas wanted": str(model["replicas"]["wanted"]),
            "Replicas starting": str(model["replicas"]["starting"]),
            "Replicas ready": str(model["replicas"]["ready"]),
            "Replicas draining": str(model["replicas"]["draining"]),
            "Requests held": str(model["held"]),
            "Requests queued": str(model["queued"]),
            "Requests in flight": str(model["in_flight"]),
            "Prompt tokens/s": f"{model['prompt_tokens_per_s'] + 0.5:.0f}",
            "Generated tokens/s": f"{model['generated_tokens_per_s']:.0f}",
            "TTFT p50": f"{model['ttft']['p50_s'] * 1000:.0f} ms",
            "TTFT p95": "2.35 s",
            "TTFT SLO": "2.0 s",
            "Cost per hour": f"{model['cost']['per_hour']} EUR",
        }
        row = await page.locator("#models tbody tr").inner_text()
        assert row.split() == [
            "assistant", "Warning", "2", "/", "3", "4", "5", "16", "1,154", "2.35", "s", "10.00", "EUR",
        ]  # fmt: skip


async def test_shows_decisions_events_and_warnings_with_their_reasons(browser: Browser):
    async with a_live_gateway(WrittenState(lambda _second: (STILL,))) as gateway, a_live_page(browser, gateway) as page:
        await expect(page.locator("#decisions li")).to_contain_text("2 → 3")
        await expect(page.locator("#decisions li")).to_contain_text("SloAtRisk: 26 requests in flight")
        await expect(page.locator("#events li")).to_contain_text("black-friday: active, it sets the minimum")
        await expect(page.locator("#warnings li")).to_contain_text("MetricsUnavailable")
        await expect(page.locator("#warnings li")).to_contain_text("no pod can be read")


async def test_the_charts_move_and_screen_readers_get_the_table(browser: Browser):
    async with a_live_gateway(WrittenState(black_friday)) as gateway, a_live_page(browser, gateway) as page:
        await expect(page.locator("#charts canvas")).to_have_count(4)
        picture = "document.querySelector('#charts canvas').toDataURL()"
        before = await page.evaluate(picture)
        await page.wait_for_function(f"before => {picture} !== before", arg=before)
        assert await page.locator("#charts canvas").evaluate_all(
            "found => found.every(each => each.closest('[aria-hidden=true]'))"
        )


async def test_a_model_name_and_a_reason_with_markup_are_text(browser: Browser):
    decisions = (replace(STILL.decisions[0], reason=MARKUP),)
    warnings = (replace(STILL.warnings[0], message=MARKUP, reason=MARKUP),)
    model = replace(STILL, name=MARKUP, namespace=MARKUP, decisions=decisions, warnings=warnings, phase=MARKUP)
    async with a_live_gateway(WrittenState(lambda _second: (model,))) as gateway, a_live_page(browser, gateway) as page:
        await expect(page.locator("#detail-title")).to_have_text(MARKUP)
        await expect(page.locator("#decisions p")).to_have_text(MARKUP)
        await expect(page.locator("#warnings p")).to_have_text(MARKUP)
        assert await page.locator("main img, main b").count() == 0


async def test_connects_again_after_the_gateway_restarts_and_says_so(browser: Browser):
    gateway = Restartable(WrittenState(black_friday))
    async with a_live_page(browser, await gateway.start()) as page:
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await gateway.stop()
        await expect(page.locator("#connection-text")).to_contain_text("Reconnecting in")
        await expect(page.locator("#problem")).to_contain_text("The numbers below may be old.")
        await expect(page.locator("#announcer")).to_contain_text("The page connects again by itself.")
        await gateway.start()
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=TIMEOUT_MS)
        await expect(page.locator("#problem")).to_be_hidden()
        await expect(page.locator("#announcer")).to_have_text("Connected")
    await gateway.stop()


async def test_requests_a_key_and_says_what_is_wrong_with_it(browser: Browser):
    async with (
        a_live_gateway(WrittenState(black_friday)) as gateway,
        a_live_page(browser, gateway, key=None) as page,
    ):
        await expect(page.locator("#key-reason")).to_have_text("The live page needs an API key.")
        for key, reason in (
            ("csk-wrong", "The API key is not valid, or it has expired."),
            (CHAT_KEY, "This key may not see the live page: it needs live: true."),
        ):
            await page.fill("#key-input", key)
            await page.press("#key-input", "Enter")
            await expect(page.locator("#key-reason")).to_have_text(reason)
        await page.fill("#key-input", LIVE_KEY)
        await page.press("#key-input", "Enter")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        assert await page.evaluate("sessionStorage.getItem('chatscale.key')") == LIVE_KEY


async def test_the_keyboard_selects_a_model_and_a_reload_keeps_it(browser: Browser):
    async with a_live_gateway(WrittenState(black_friday)) as gateway, a_live_page(browser, gateway) as page:
        button = page.get_by_role("button", name="translator")
        await button.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail-title")).to_have_text("translator")
        await expect(button).to_be_focused()
        await expect(button).to_have_attribute("aria-current", "true")
        await page.reload()
        await expect(page.locator("#detail-title")).to_have_text("translator")


async def test_a_reload_keeps_the_charts(browser: Browser):
    state = WrittenState(black_friday, step=20)
    async with a_live_gateway(state) as gateway, a_live_page(browser, gateway) as page:
        peak = page.locator("#numbers tbody tr", has_text="Requests held").locator("td").last
        await expect(page.locator("#connection-text")).to_contain_text("Live, 20:0", timeout=TIMEOUT_MS)
        state.step = 1
        kept = "JSON.parse(sessionStorage.getItem('chatscale.live /live') ?? '[]')"
        highest = await peak.inner_text()
        await page.reload()
        await expect(page.locator("#numbers tbody tr").first).to_be_visible()
        assert len((await page.evaluate(kept))[0][1]["time"]) > 10
        await expect(peak).to_have_text(highest)


async def test_a_history_that_another_version_wrote_is_left_out(browser: Browser):
    async with a_live_gateway(WrittenState(black_friday)) as gateway, a_live_page(browser, gateway) as page:
        for text in ("[", '[["shop/assistant", {"time": [1]}]]', '{"a": 1}'):
            write = "text => addEventListener('pagehide', () => sessionStorage.setItem('chatscale.live /live', text))"
            await page.evaluate(write, text)
            await page.reload()
            await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def test_an_address_with_a_malformed_hash_shows_the_first_model(browser: Browser):
    async with (
        a_live_gateway(WrittenState(black_friday)) as gateway,
        a_live_page(browser, gateway, path="/live#%") as page,
    ):
        await expect(page.locator("#models [aria-current]")).to_have_count(1)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
async def test_has_no_serious_fault_of_accessibility(browser: Browser, size: tuple[int, int], theme: str):
    viewport = {"width": size[0], "height": size[1]}
    async with (
        a_live_gateway(WrittenState(lambda _second: (STILL, replace(STILL, name="b", warnings=())))) as gateway,
        a_live_page(browser, gateway, viewport=viewport, color_scheme=theme) as page,
    ):
        await expect(page.locator("#numbers tbody tr").first).to_be_visible()
        await assert_accessible(page)
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) <= 0
        await page.screenshot(path=PICTURES / f"live-{size[0]}-{theme}.png", full_page=True)


async def test_makes_the_picture_of_the_readme(browser: Browser, tmp_path: Path):
    """Ten minutes of `black_friday`. UPDATE_SCREENSHOTS=1 replaces the picture in docs/images."""
    state = WrittenState(black_friday, step=0, last=605)
    async with (
        a_live_gateway(state, period_s=0.06) as gateway,
        a_live_page(browser, gateway, reduced_motion="reduce") as page,
    ):
        await expect(page.locator("#models tbody tr")).to_have_count(3)
        state.step = 3
        await expect(page.locator("#connection-text")).to_have_text("Live, 20:00:05", timeout=60_000)
        await expect(page.locator("#decisions li")).to_have_count(3)
        folder = ROOT / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path
        path = folder / "live.png"
        await page.screenshot(path=path, animations="disabled", full_page=True)
    # MAXCOVERAGE keeps the colours of small dots.
    picture = Image.open(path).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    assert picture.width == 1280
    assert 20_000 < path.stat().st_size < 150_000


async def test_keeps_ten_minutes_breaks_lines_at_gaps_and_begins_again_with_another_clock(browser: Browser):
    script = """async () => {
      const app = document.querySelector("script[src$='live/app.js']").src;
      const { History } = await import(app.replace("app.js", "history.js"));
      const history = new History();
      const add = (second, held) => history.add({
        time: new Date(second * 1000).toISOString(),
        models: [{ namespace: 'a', name: 'b', held, replicas: {}, ttft: {} }],
      });
      const found = [];
      for (let second = 0; second <= 700; second += 1) add(second, second);
      found.push(history.columns('a/b', ['held'])[1].length, history.peak('a/b', 'held'));
      add(720, 3);
      found.push(history.columns('a/b', ['held'])[1].slice(-3));
      add(719, 9);
      found.push(history.columns('a/b', ['held'])[1].at(-1));
      add(100, 7);
      found.push(history.columns('a/b', ['held']));
      history.add({ time: new Date(101000).toISOString(), models: [] });
      found.push(history.peak('a/b', 'held'));
      return found;
    }"""
    async with a_live_gateway(WrittenState(black_friday)) as gateway, a_live_page(browser, gateway) as page:
        assert await page.evaluate(script) == [601, 700, [700, None, 3], 3, [[100], [7]], None]


async def test_a_key_that_is_revoked_ends_the_stream_and_the_page_requests_another(browser: Browser):
    async with a_live_gateway(WrittenState(black_friday)) as gateway, a_live_page(browser, gateway) as page:
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        gateway.keys.ring = KeyRing((), "system")
        await expect(page.locator("#key-reason")).to_have_text("The API key is not valid, or it has expired.")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "off")
        await expect(page.locator("#numbers tbody tr").first).to_be_visible()
