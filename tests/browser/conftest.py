"""One gateway and one browser for all tests of this folder, which run on one event loop."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from hack.browser import ensure_chromium
from tests.browser.world import KEY, World, a_world

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
TIMEOUT_MS = 5_000


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("gateway"), CHATSCALE_GATEWAY_PATH_PREFIX="/llm") as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = ensure_chromium()
    if path is None:
        reason = "no Chromium: install Debian's package chromium"
        pytest.fail(reason) if os.environ.get("REQUIRE_BROWSER") else pytest.skip(reason)
    async with async_playwright() as playwright:
        # Chromium's sandbox needs rights that a container may not give.
        chromium = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        await chromium.close()


@dataclass
class Tab:
    """A page with an empty storage. Errors of its scripts and of its content security policy fail the test."""

    page: Page
    context: BrowserContext
    url: str
    errors: list[str]

    async def open(self, path: str = "/", *, key: str | None = KEY) -> Page:
        if key:
            # Not again after a reload: a test may have changed it.
            script = f"sessionStorage.length || sessionStorage.setItem('chatscale.key', '{key}')"
            await self.page.add_init_script(script)
        await self.page.goto(self.url + path)
        await self.page.locator("#model option:not([value=''])").first.wait_for(state="attached")
        return self.page

    async def send(self, text: str) -> None:
        await self.page.fill("#question", text)
        await self.page.press("#question", "Enter")

    async def answer(self, text: str) -> str:
        """Send a question, and wait for the end of its answer."""
        await self.send(text)
        await self.page.locator("#send").wait_for()
        return await self.page.locator(".assistant .body").last.inner_text()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, world: World) -> AsyncIterator[Tab]:
    async for each in a_tab(browser, world.url):
        yield each


async def a_tab(browser: Browser, url: str, **options: object) -> AsyncIterator[Tab]:
    settings = {"viewport": DESKTOP, "permissions": ["clipboard-read", "clipboard-write"], **options}
    context = await browser.new_context(**settings)
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    found = Tab(page, context, url, [])
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("console", lambda line: found.errors.append(line.text) if "Content Security Policy" in line.text else None)
    yield found
    await context.close()
    assert not found.errors
