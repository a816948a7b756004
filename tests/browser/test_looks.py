"""Accessibility and pictures: phone and desktop, light and dark. The pictures are in build/pages.

UPDATE_SCREENSHOTS=1 replaces the picture of README in docs/images.
"""

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, expect

from hack.paths import ROOT
from tests.browser.tab import DESKTOP, PHONE, PICTURES, a_tab, assert_accessible
from tests.browser.world import KEY, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [pytest.param(PHONE, id="phone"), pytest.param(DESKTOP, id="desktop")])
async def test_no_serious_finding_of_axe_and_a_picture(browser: Browser, world: World, size, scheme):
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = f"{size['width']}-{scheme}"
    async with a_tab(browser, world.url, KEY, viewport=size, color_scheme=scheme, reduced_motion="reduce") as tab:
        page = await tab.open()
        await page.screenshot(path=PICTURES / f"chat-empty-{name}.png")
        for question in ("What is a cold start?", "How many replicas do I need?"):
            await tab.answer(question)
            if size == DESKTOP:
                await page.click("#new")
        await tab.answer("Show me how a chat model scales.")
        await page.mouse.move(900, 400)
        await page.screenshot(path=PICTURES / f"chat-{name}.png")
        if os.environ.get("UPDATE_SCREENSHOTS") and (size, scheme) == (DESKTOP, "light"):
            shrink(PICTURES / f"chat-{name}.png", ROOT / "docs" / "images" / "chat.png")
        await expect(page.locator(".disclosure")).to_contain_text("A machine answers.")
        await assert_accessible(page)
        await tab.send("fail")
        await expect(page.locator(".problem")).to_be_visible()
        await page.click("[aria-label='Good answer'] >> nth=-1")
        await page.screenshot(path=PICTURES / f"chat-problem-{name}.png")
        await assert_accessible(page)
        for opener in ("#settings", "#key"):
            if size == PHONE and opener == "#key":
                await page.click("#side-open")
                await page.locator("#new").wait_for()
                await assert_accessible(page)
                await page.screenshot(path=PICTURES / f"chat-list-{name}.png")
            await page.click(opener)
            await assert_accessible(page)
            await page.screenshot(path=PICTURES / f"chat-{opener[1:]}-{name}.png")
            await page.keyboard.press("Escape")


async def test_the_theme_can_be_switched_and_stays(browser: Browser, world: World):
    async with a_tab(browser, world.url, KEY, color_scheme="light") as tab:
        page = await tab.open()
        await page.click("#theme")
        await page.reload()
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        await page.click("#theme")
        assert await page.evaluate("localStorage.length") == 0


def shrink(source: Path, target: Path) -> None:
    picture = Image.open(source).convert("RGB")
    picture.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)
