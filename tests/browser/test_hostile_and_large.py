"""Promise 33 and hostile or very large content."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.tab import Tab
from tests.browser.world import MARKUP, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_hostile_markdown_is_shown_and_does_nothing(tab: Tab):
    page = await tab.open()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    await tab.answer("hostile")
    body = page.locator(".assistant .body").last
    for selector in ("script", "img", "svg", "iframe", "style", "form", "input", "[onclick]", "[onerror]", "[id]"):
        await expect(body.locator(selector)).to_have_count(0)
    assert await page.evaluate("window.hacked") is None
    links = await body.locator("a[href]").evaluate_all("found => found.map(a => [a.href, a.rel, a.target])")
    assert links == [
        ["https://good.example/", "noopener noreferrer nofollow", "_blank"],
        ["https://evil.example/p.png", "noopener noreferrer nofollow", "_blank"],
    ]
    text = await body.inner_text()
    assert "<script>window.hacked = 7</script>" in text
    assert "☑ done" in text
    assert not [url for url in requests if "evil" in url]
    streamed = await body.inner_html()
    await page.reload()
    assert await page.locator(".assistant .body").last.inner_html() == streamed, "streamed and stored look the same"


async def test_names_with_markup_are_text(tab: Tab):
    page = await tab.open()
    listed = {
        "object": "list",
        "data": [{"id": MARKUP, "state": "ready", "ready": 1, "slots": 0, "in_flight": 0, "held": 0}],
    }
    await page.route("**/pages/models", lambda route: route.fulfill(json=listed))
    await page.reload()
    await expect(page.locator("#model option")).to_have_text([f"{MARKUP} (ready)"])
    await tab.send(MARKUP)
    await expect(page.locator(".assistant .name")).to_have_text(MARKUP)
    await expect(page.locator("#title")).to_have_text(MARKUP)
    await expect(page.locator("img")).to_have_count(0)


async def test_an_answer_of_100_000_characters_does_not_block_the_page(tab: Tab):
    page = await tab.open()
    await page.evaluate(
        "window.longest = 0; new PerformanceObserver((list) => list.getEntries().forEach("
        "(each) => { window.longest = Math.max(window.longest, each.duration) })).observe({ type: 'longtask' })"
    )
    await tab.answer("say 100000")
    # The page draws in slices, and may take its time: what counts is that none of them blocks it.
    await expect(page.locator(".assistant .body")).to_contain_text("Line 4999 of many.", timeout=30_000)
    longest = await page.evaluate("window.longest")
    print(f"\nlongest task with 100,000 characters: {longest:.0f} ms")
    assert longest < 2000
    await page.fill("#question", "still usable")


async def test_promise_33_the_page_follows_only_a_reader_at_the_end(tab: Tab, world: World):
    page = await tab.open()
    await tab.send("slow")
    await expect(page.locator(".assistant .body")).to_contain_text("Sentence 99")
    assert await distance_to_end(page) < 30
    await page.hover("#messages")
    await page.mouse.wheel(0, -600)
    await expect(page.locator("#to-end")).to_be_visible()
    before = await page.evaluate("document.querySelector('#scroller').scrollTop")
    world.replica.go_on.set()
    await expect(page.locator(".assistant .body")).to_contain_text("The end of it.")
    world.replica.go_on.clear()
    assert await page.evaluate("document.querySelector('#scroller').scrollTop") == before
    await page.click("#to-end")
    assert await distance_to_end(page) < 30
    await expect(page.locator("#to-end")).to_be_hidden()


async def test_promise_33_screen_readers_get_states_and_finished_answers_but_no_tokens(tab: Tab, world: World):
    page = await tab.open()
    await page.evaluate(
        """() => {
          const announcer = document.querySelector("#announcer");
          window.said = [];
          new MutationObserver(() => window.said.push(announcer.textContent)).observe(announcer, { childList: true });
        }"""
    )
    await tab.answer("say 4000")
    said = await page.evaluate("window.said")
    assert said[-1].startswith("Answer: Line 0 of *many*.")
    assert len(said) <= 3
    live = await page.locator("[aria-live], [role=status], [role=alert], [role=log]").evaluate_all(
        "all => all.map(e => e.id)"
    )
    assert set(live) == {"announcer", "search-state", "banner", "key-error"}


async def test_promise_33_ten_thousand_messages_stay_fast_and_small(tab: Tab, tmp_path: Path):
    page = await tab.open()
    messages = [
        {
            "role": ("user", "assistant")[n % 2],
            "text": f"Message {n} with **some** text. " * 10,
            "createdAt": n,
            "state": "done",
        }
        for n in range(10_000)
    ]
    conversation = {"title": "Long", "createdAt": 1, "updatedAt": 1, "model": "tiny", "messages": messages}
    file = tmp_path / "long.json"
    file.write_text(json.dumps({"format": "chatscale-conversations", "version": 1, "conversations": [conversation]}))
    await page.set_input_files("#import-file", file)
    await expect(page.locator("article").last).to_contain_text("Message 9999", timeout=15_000)
    assert await page.locator("article").count() <= 100
    await page.reload()
    await expect(page.locator("article").last).to_contain_text("Message 9999")
    await page.evaluate("document.querySelector('#scroller').scrollTop = 0")
    await expect(page.locator("article >> text=Message 9930 ")).to_be_attached()
    await page.fill("#search", "Message 77 ")
    await page.locator(".hit").first.click()
    await expect(page.locator("article.found")).to_contain_text("Message 77 ")
    assert await page.locator("article").count() <= 100
    await tab.answer("a new question")
    await expect(page.locator("article").last).to_contain_text("You said: a new question")
    heap = await page.evaluate("performance.memory.usedJSHeapSize") / 2**20
    print(f"\nheap with 10,000 messages: {heap:.0f} MiB")
    assert heap < 150


async def distance_to_end(page: Page) -> float:
    return await page.evaluate(
        "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)"
        "(document.querySelector('#scroller'))"
    )
