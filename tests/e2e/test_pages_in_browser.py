"""Promise: chat page and live page do on the cluster what their guides say, on a phone and a desktop, dark and light.

Scripted answers, and faults that a cluster does not show on demand, are in tests/browser.
"""

import asyncio
import json
import secrets
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from chatscale_contract.gateway.live import LIVE_DATA_PATH
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from hack import keys, kube
from tests.browser.tab import (
    DESKTOP,
    PHONE,
    PICTURES,
    Tab,
    a_chromium,
    a_tab,
    assert_accessible,
    assert_as_fast_as_a_plain_client,
    first_tokens,
)
from tests.browser.world import HOSTILE
from tests.e2e.support import Model, autoscaling, chatmodel, gateway_url, start_load

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAMESPACE = f"e2e-pages-{secrets.token_hex(2)}"
TIMEOUT_MS = 30_000
READY = "ready-shop"
FULL = "full-shop"
WRONG_KEY = "csk-that-nobody-has"


@dataclass(frozen=True, slots=True)
class Look:
    """How a person sees the page."""

    size: dict[str, int]
    scheme: str

    @property
    def name(self) -> str:
        return f"{self.size['width']}-{self.scheme}"

    @property
    def sleeping_model(self) -> str:
        """Each look wakes a model of its own."""
        return f"sleepy-{self.name}"


LOOKS = [Look(size, scheme) for size in (PHONE, DESKTOP) for scheme in ("light", "dark")]


@pytest.fixture(params=LOOKS, ids=lambda look: look.name)
def look(request: pytest.FixtureRequest) -> Look:
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with a_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def ready(key_of_the_gateway: None) -> Iterator[Model]:
    """The model that answers, beside those that sleep and one that holds no request."""
    kube.kubectl("create", "namespace", NAMESPACE)
    server = {"engine": "Simulated", "simulated": {"profile": "8b-a100", "startupSeconds": 4}, "maxConcurrency": 4}
    asleep = {"replicas": 0, "autoscaling": autoscaling(scaleToZero={"idleSeconds": 600})}
    for each in LOOKS:
        Model(chatmodel(each.sleeping_model, NAMESPACE, server=server, **asleep)).apply()
    never_ready = {**server, "simulated": {"profile": "8b-a100", "startupSeconds": 3600}}
    Model(chatmodel(FULL, NAMESPACE, server=never_ready, routing={"hold": {"maxRequests": 0}}, **asleep)).apply()
    price = {"currency": "EUR", "gpuHour": "2.50"}
    model = Model(chatmodel(READY, NAMESPACE, server=server, autoscaling={"mode": "Fixed"}, replicas=1, price=price))
    model.apply()
    model.wait_ready(1)
    yield model
    kube.delete_namespace(NAMESPACE)


@pytest.fixture(scope="module")
def key(ready: Model) -> str:
    """It opens the models of the namespace only, and the live page. It is deleted with the namespace."""
    created = keys.create_key("pages", NAMESPACE, "--live", "--expires", "1d")
    keys.wait_until_accepted(gateway_url(), created)
    return created


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, key: str, look: Look) -> AsyncIterator[Tab]:
    async with a_tab(
        browser, gateway_url(), key, timeout_ms=TIMEOUT_MS, viewport=look.size, color_scheme=look.scheme
    ) as found:
        yield found


async def open_chat(tab: Tab, model: str = READY) -> Page:
    page = await tab.open()
    await page.select_option("#model", model)
    return page


async def chats(page: Page) -> Locator:
    """The list of chats; on a phone it is a drawer that must be opened."""
    opener = page.locator("#side-open")
    if await opener.is_visible() and await opener.get_attribute("aria-expanded") != "true":
        await opener.click()
    await page.locator("#new").wait_for()
    return page.locator(".conversation .open")


async def new_chat(page: Page) -> None:
    await chats(page)
    await page.click("#new")
    await expect(page.locator("#welcome")).to_be_visible()


async def limit_answers(page: Page, tokens: int) -> None:
    await page.click("#settings")
    await page.fill("#set-maxTokens", str(tokens))
    await page.click("#settings-dialog >> text=Save")


def live_model(tab: Tab, name: str) -> dict[str, Any]:
    request = urllib.request.Request(tab.url + LIVE_DATA_PATH, headers=keys.bearer(tab.key))
    with urllib.request.urlopen(request, timeout=10) as response:
        return next(each for each in json.load(response)["models"] if each["name"] == name)


async def test_answers_stream_and_a_stopped_one_frees_its_replica(tab: Tab):
    page = await open_chat(tab)
    await limit_answers(page, 4000)
    await tab.send("Where is my parcel?")
    body = page.locator(".assistant .body")
    await expect(body).to_contain_text("Thank you")
    early = await body.inner_text()
    await page.wait_for_function(
        "early => document.querySelector('.assistant .body').innerText.length > early", arg=len(early) + 40
    )
    await asyncio.to_thread(
        kube.wait_for, "the request is in flight", lambda: live_model(tab, READY)["in_flight"] >= 1, 15.0
    )
    await (page.keyboard.press("Escape") if tab.page.viewport_size == DESKTOP else page.click("#stop"))
    await expect(page.locator(".assistant")).to_contain_text("Stopped.")
    await asyncio.to_thread(
        kube.wait_for, "the replica is free", lambda: live_model(tab, READY)["in_flight"] == 0, 15.0
    )
    await page.reload()
    await expect(page.locator(".assistant")).to_contain_text("Stopped.")


async def test_keeps_several_chats_that_can_be_searched_renamed_and_deleted(tab: Tab):
    page = await open_chat(tab)
    await tab.answer("Apples and pears")
    await new_chat(page)
    await page.select_option("#model", READY)
    await tab.answer("Bananas")
    await page.reload()
    await expect(await chats(page)).to_have_text(["Bananas", "Apples and pears"])
    await page.fill("#search", "BANANAS")
    await expect(page.locator("#search-state")).to_contain_text("found")
    await page.fill("#search", "")
    await page.click("[aria-label='Rename Apples and pears']")
    await page.fill("#name-input", "Fruit <b>")
    await page.keyboard.press("Enter")
    await (await chats(page)).last.click()
    await expect(page.locator("#title")).to_have_text("Fruit <b>")
    await chats(page)
    await page.click("[aria-label='Delete Bananas']")
    await page.click("#confirm-dialog >> text=Delete >> nth=-1")
    await expect(page.locator(".conversation")).to_have_count(1)


async def test_questions_can_be_edited_answers_repeated_and_both_undone(tab: Tab):
    page = await open_chat(tab)
    await limit_answers(page, 12)
    await tab.answer("one")
    await tab.answer("two")
    await page.locator(".user").first.hover()
    await page.locator("[aria-label='Edit and resend']").first.click()
    await page.fill(".edit textarea", "three")
    await page.keyboard.press("Enter")
    await expect(page.locator(".user .body")).to_have_text(["three"])
    await page.locator("#send").wait_for()
    await page.click("text=Undo")
    await expect(page.locator("article")).to_have_count(4)
    async with page.expect_request(lambda request: request.url.endswith(CHAT_COMPLETIONS_PATH)) as sent:
        await page.locator("[aria-label='Generate another answer']").last.click()
    questions = [each["content"] for each in (await sent.value).post_data_json["messages"] if each["role"] == "user"]
    assert questions == ["one", "two"]
    await page.locator("#send").wait_for()
    await expect(page.locator(".problem")).to_have_count(0)


async def test_parameters_reach_the_model_and_limit_its_answer(tab: Tab):
    page = await open_chat(tab)
    await page.click("#settings")
    await page.fill("#set-system", "Be brief.")
    for name, value in (("maxTokens", "5"), ("temperature", "0.5"), ("topK", "0"), ("topP", "0.9")):
        await page.fill(f"#set-{name}", value)
    await page.click("#settings-dialog >> text=Save")
    async with page.expect_request(lambda request: request.url.endswith(CHAT_COMPLETIONS_PATH)) as sent:
        await tab.answer("hi")
    body = (await sent.value).post_data_json
    assert [body[name] for name in ("max_tokens", "temperature", "top_k", "top_p")] == [5, 0.5, 0, 0.9]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    await expect(page.locator(".assistant")).to_contain_text("the limit of tokens was reached")
    await expect(page.locator(".usage")).to_have_text("5 tokens")


async def test_a_rated_answer_is_copied_exported_and_imported(tab: Tab, tmp_path: Path):
    page = await open_chat(tab)
    answer = await tab.answer("Is this good?")
    await page.click("[aria-label='Copy answer']")
    await expect(page.locator("#notice")).to_have_text("Copied.")
    assert (await page.evaluate("navigator.clipboard.readText()")).split() == answer.split()
    await page.click("[aria-label='Bad answer']")
    await page.fill(".comment input", "No source.")
    await page.keyboard.press("Tab")
    await page.reload()
    await expect(page.locator(".comment input")).to_have_value("No source.")
    exported = {}
    for kind in ("json", "markdown"):
        await page.click("#more")
        async with page.expect_download() as download:
            await page.click(f"#export-{kind}")
        exported[kind] = tmp_path / (await download.value).suggested_filename
        await (await download.value).save_as(exported[kind])
    assert "*Rating: down. No source.*" in exported["markdown"].read_text()
    whole = json.loads(exported["json"].read_text())
    message = whole["conversations"][0]["messages"][1]
    assert (message["rating"], message["comment"], message["model"]) == ("down", "No source.", READY)
    await page.set_input_files("#import-file", exported["json"])
    await expect(await chats(page)).to_have_count(2)


async def test_hostile_markdown_does_nothing(tab: Tab, tmp_path: Path):
    """It comes from a file: the models of this cluster write plain sentences. Both ways have the same renderer."""
    page = await open_chat(tab)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    messages = [
        {"role": "user", "text": "hi", "createdAt": 1},
        {"role": "assistant", "text": HOSTILE, "createdAt": 2, "state": "done"},
    ]
    chat = {
        "title": "<img src=x onerror=alert(1)>",
        "createdAt": 1,
        "updatedAt": 1,
        "model": READY,
        "messages": messages,
    }
    file = tmp_path / "hostile.json"
    file.write_text(json.dumps({"format": "chatscale-conversations", "version": 1, "conversations": [chat]}))
    await page.set_input_files("#import-file", file)
    body = page.locator(".assistant .body")
    await expect(body).to_contain_text("Title")
    for selector in ("script", "img", "svg", "iframe", "style", "form", "input", "[onclick]", "[onerror]", "[id]"):
        await expect(body.locator(selector)).to_have_count(0)
    assert await page.evaluate("window.hacked") is None
    assert not [url for url in requests if "evil" in url]


async def test_a_model_at_zero_is_shown_asleep_and_wakes_up_for_a_question(tab: Tab, look: Look):
    page = await tab.open()
    option = page.locator(f"#model option[value='{look.sleeping_model}']")
    await expect(option).to_contain_text("asleep")
    await page.select_option("#model", look.sleeping_model)
    await tab.send("hello")
    await expect(page.locator(".waiting")).to_contain_text("The model is waking up.")
    await expect(page.locator("#announcer")).to_contain_text("The model is waking up.")
    await expect(option).to_have_text(f"{look.sleeping_model} (starting)")
    await expect(page.locator(".assistant .body")).to_contain_text("Thank you", timeout=90_000)
    await expect(page.locator(".waiting")).to_have_count(0)
    await expect(option).to_contain_text("ready")


async def test_a_full_queue_says_when_to_try_again(tab: Tab):
    page = await open_chat(tab, FULL)
    await tab.send("hello")
    await expect(page.locator(".problem")).to_contain_text("The queue is full")
    await expect(page.locator(".problem button")).to_contain_text("Try again")


async def test_the_key_is_entered_once_and_a_wrong_one_is_named(browser: Browser, key: str, look: Look):
    async with a_tab(
        browser, gateway_url(), key, timeout_ms=TIMEOUT_MS, viewport=look.size, color_scheme=look.scheme
    ) as tab:
        page = tab.page
        await page.goto(tab.url)
        await expect(page.locator("#key-reason")).to_contain_text("needs a key")
        await page.fill("#key-input", WRONG_KEY)
        await page.click("text=Use key")
        await expect(page.locator("#key-reason")).to_contain_text("refused")
        await page.fill("#key-input", key)
        await page.click("text=Use key")
        await expect(page.locator(f"#model option[value='{READY}']")).to_have_count(1)
        assert key not in await page.evaluate("Object.values(localStorage)")
        await page.reload()
        await expect(page.locator(f"#model option[value='{READY}']")).to_have_count(1)
        await page.goto(f"{tab.url}/live")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def test_the_live_page_shows_load_costs_and_the_decision_that_woke_a_model(tab: Tab, ready: Model, look: Look):
    body = {"model": look.sleeping_model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    headers = {**keys.bearer(tab.key), "Content-Type": "application/json"}
    wake = urllib.request.Request(tab.url + CHAT_COMPLETIONS_PATH, json.dumps(body).encode(), headers)
    await asyncio.to_thread(lambda: urllib.request.urlopen(wake, timeout=90).close())
    load = start_load(ready, rate_per_s=1, duration_s=120, max_tokens=40, url=tab.url, key=lambda: tab.key)
    page = tab.page
    await page.add_init_script(f"sessionStorage.setItem('chatscale.key', '{tab.key}')")
    await page.goto(f"{tab.url}/live#{NAMESPACE}/{READY}")
    await expect(page.locator("#detail-title")).to_have_text(READY)
    numbers = page.locator("#numbers tbody")
    row = "#numbers tbody tr:has(th:text-is('{}')) td"
    await expect(numbers.locator("tr", has_text="Generated tokens/s").locator("td").first).not_to_have_text("0")
    await expect(page.locator(row.format("Replicas ready")).first).to_have_text("1")
    await expect(page.locator(row.format("Cost per hour")).first).to_have_text("2.50 EUR")
    await expect(numbers.locator("tr", has_text="TTFT p95").locator("td").first).to_contain_text("s")
    await expect(page.locator("#charts canvas")).to_have_count(4)
    picture = "document.querySelectorAll('#charts canvas')[1].toDataURL()"
    before = await page.evaluate(picture)
    await page.wait_for_function(f"before => {picture} !== before", arg=before)
    await page.reload()
    await expect(page.locator("#numbers tbody tr").first).to_be_visible()
    kept = "JSON.parse(sessionStorage.getItem('chatscale.live /live'))[0][1].time.length"
    assert await page.evaluate(kept) >= 1
    await page.get_by_role("button", name=look.sleeping_model).click()
    await expect(page.locator("#decisions li").first).to_contain_text("RequestsHeld")
    load.finish()
    await assert_accessible(page)
    assert await overflow(page) <= 0
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"cluster-live-{look.name}.png", full_page=True)


async def test_both_forms_of_the_chat_page_are_accessible_and_fit(tab: Tab, look: Look):
    page = await open_chat(tab)
    await assert_accessible(page)
    await tab.answer("What is your return policy?")
    await assert_accessible(page)
    assert await overflow(page) <= 0
    background = await page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (sum(background) < 3 * 128) == (look.scheme == "dark")
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"cluster-chat-{look.name}.png")
    await chats(page)
    await assert_accessible(page)
    await page.keyboard.press("Escape")
    for opener in ("#settings", "#more"):
        await page.click(opener)
        await assert_accessible(page)
        await page.keyboard.press("Escape")


async def overflow(page: Page) -> int:
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.operator_alone
async def test_the_first_token_on_the_page_is_as_fast_as_that_of_a_plain_client(browser: Browser, key: str):
    async with a_tab(browser, gateway_url(), key, timeout_ms=TIMEOUT_MS) as tab:
        await open_chat(tab)
        assert_as_fast_as_a_plain_client(await first_tokens(tab, READY))
