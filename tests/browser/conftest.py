"""One gateway and one browser for all tests of this folder, which run on one event loop."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.tab import Tab, a_chromium, a_tab
from tests.browser.world import KEY, World, a_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("gateway"), CHATSCALE_GATEWAY_PATH_PREFIX="/llm") as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with a_chromium() as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, world: World) -> AsyncIterator[Tab]:
    async with a_tab(browser, world.url, KEY) as found:
        yield found
