"""The chat page, line by line of its description, in a real browser against a real gateway process."""

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.tab import PHONE, Tab, a_tab
from tests.browser.world import KEY, REVOKED, USAGE, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_streams_an_answer_and_keeps_it_over_a_reload(tab: Tab, world: World):
    page = await tab.open()
    assert await tab.answer("Hello **there**") == "You said: Hello there"
    assert world.replica.bodies[-1]["messages"] == [{"role": "user", "content": "Hello **there**"}]
    assert world.replica.bodies[-1].keys() == {"model", "messages", "stream", "stream_options"}
    await tab.answer("Again")
    await page.reload()
    await expect(page.locator("article")).to_have_count(4)
    await expect(page.locator("#title")).to_have_text("Hello **there**")
    assert f"{USAGE['completion_tokens']} tokens" in await page.locator(".assistant").first.inner_text()


@pytest.mark.parametrize("how", ["button", "Escape"])
async def test_a_stream_can_be_stopped_and_the_replica_stops_too(tab: Tab, world: World, how):
    page = await tab.open()
    left = world.replica.left
    await tab.send("slow")
    await expect(page.locator(".assistant .body")).to_contain_text("Sentence 99")
    await (page.click("#stop") if how == "button" else page.keyboard.press("Escape"))
    await expect(page.locator(".assistant")).to_contain_text("Stopped.")
    await expect(page.locator("#announcer")).to_have_text("Stopped.")
    for _ in range(100):
        if world.replica.left > left:
            break
        await page.wait_for_timeout(20)
    assert world.replica.left == left + 1
    await page.reload()
    await expect(page.locator(".assistant")).to_contain_text("Sentence 99")


async def test_chats_can_be_opened_renamed_searched_and_deleted(tab: Tab):
    page = await tab.open()
    await tab.answer("Apples and pears")
    await page.click("#new")
    await expect(page.locator("#welcome")).to_be_visible()
    await tab.answer("Bananas")
    await page.click("text=Apples and pears >> visible=true")
    await expect(page.locator(".assistant .body")).to_have_text("You said: Apples and pears")
    await page.click("[aria-label='Rename Apples and pears']")
    await page.fill("#name-input", "Fruit <b>")
    await page.keyboard.press("Enter")
    await expect(page.locator("#title")).to_have_text("Fruit <b>")
    await page.fill("#search", "BANANAS")
    await expect(page.locator("#search-state")).to_have_text("3 found")
    await page.locator(".hit").last.click()
    await expect(page.locator("article.found")).to_contain_text("You said: Bananas")
    await page.click("[aria-label='Delete Bananas']")
    await page.click("#confirm-dialog >> text=Delete >> nth=-1")
    await expect(page.locator("#search-state")).to_have_text("Nothing found")
    await page.fill("#search", "")
    await expect(page.locator(".conversation")).to_have_count(1)
    await page.reload()
    await expect(page.locator(".conversation")).to_have_text(["Fruit <b>"])


async def test_a_question_can_be_edited_an_answer_repeated_and_both_undone(tab: Tab, world: World):
    page = await tab.open()
    await tab.answer("one")
    await tab.answer("two")
    await page.locator(".user").first.hover()
    await page.locator("[aria-label='Edit and resend']").first.click()
    await page.fill(".edit textarea", "three")
    await page.keyboard.press("Enter")
    await expect(page.locator("article")).to_have_count(2)
    await expect(page.locator(".assistant .body")).to_have_text("You said: three")
    await page.click("text=Undo")
    await expect(page.locator(".assistant .body")).to_have_text(["You said: one", "You said: two"])
    before = len(world.replica.bodies)
    await page.locator("[aria-label='Generate another answer']").last.click()
    await expect(page.locator("#send")).to_be_visible()
    assert [each["content"] for each in world.replica.bodies[-1]["messages"]] == ["one", "You said: one", "two"]
    assert len(world.replica.bodies) == before + 1
    await page.reload()
    await expect(page.locator("article")).to_have_count(4)


async def test_answers_and_code_can_be_copied(tab: Tab):
    page = await tab.open()
    await tab.answer("show")
    await page.click(".copy-code")
    await expect(page.locator("#notice")).to_have_text("Copied.")
    assert (await page.evaluate("navigator.clipboard.readText()")).startswith("apiVersion: chatscale.dev")
    await page.click("[aria-label='Copy answer']")
    await expect(page.locator("#notice")).to_have_text("Copied.")
    assert (await page.evaluate("navigator.clipboard.readText()")).startswith("A **Horizontal Pod")


async def test_settings_of_a_chat_reach_the_replica(tab: Tab, world: World):
    page = await tab.open()
    await page.click("#settings")
    await page.fill("#set-system", "Be brief.")
    for name, value in (("maxTokens", "64"), ("temperature", "0.5"), ("topK", "0"), ("topP", "0.9")):
        await page.fill(f"#set-{name}", value)
    await page.click("#settings-dialog >> text=Save")
    await tab.answer("hi")
    body = world.replica.bodies[-1]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [body[name] for name in ("max_tokens", "temperature", "top_k", "top_p")] == [64, 0.5, 0, 0.9]
    await page.reload()
    await page.click("#settings")
    await expect(page.locator("#set-system")).to_have_value("Be brief.")
    await page.fill("#set-temperature", "3")
    await page.click("#settings-dialog >> text=Save")
    await expect(page.locator("#settings-dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.click("#new")
    await tab.answer("hi")
    assert world.replica.bodies[-1].keys() == {"model", "messages", "stream", "stream_options"}


async def test_the_model_picker_shows_states_and_wakes_nothing(tab: Tab, world: World):
    page = await tab.open()
    options = page.locator("#model option")
    await expect(options).to_have_text(["full (asleep)", "sleepy (asleep)", "tiny (ready, 0 % load)"])
    await page.select_option("#model", "tiny")
    await tab.send("slow")
    await expect(options.last).to_have_text("tiny (ready, 13 % load)")
    await page.click("#stop")
    async with page.expect_response("**/pages/models") as response:
        pass
    found = {each["id"]: each["state"] for each in (await (await response.value).json())["data"]}
    assert found == {"tiny": "ready", "sleepy": "asleep", "full": "asleep"}


async def test_a_rating_with_a_comment_is_kept_and_exported(tab: Tab, tmp_path: Path):
    page = await tab.open()
    await tab.answer("Is this | good?")
    await page.click("[aria-label='Bad answer']")
    await page.fill(".comment input", "No source.")
    await page.keyboard.press("Tab")
    await page.reload()
    await expect(page.locator("[aria-label='Bad answer']")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator(".comment input")).to_have_value("No source.")
    exported = {}
    for kind in ("json", "markdown"):
        await page.click("#more")
        async with page.expect_download() as download:
            await page.click(f"#export-{kind}")
        exported[kind] = tmp_path / (await download.value).suggested_filename
        await (await download.value).save_as(exported[kind])
    assert [path.name for path in exported.values()] == ["is-this-good.json", "is-this-good.md"]
    text = exported["markdown"].read_text()
    assert "were written by a machine" in text
    assert "*Rating: down. No source.*" in text
    message = json.loads(exported["json"].read_text())["conversations"][0]["messages"][1]
    assert (message["rating"], message["comment"], message["model"]) == ("down", "No source.", "tiny")

    await page.set_input_files("#import-file", exported["json"])
    await expect(page.locator(".conversation")).to_have_count(2)
    await expect(page.locator(".comment input")).to_have_value("No source.")
    for content, problem in (("[", "The file is not JSON."), ("{}", "The file is not an export of this page.")):
        exported["json"].write_text(content)
        await page.set_input_files("#import-file", exported["json"])
        await expect(page.locator("#notice")).to_have_text(problem)


async def test_the_key_is_entered_once_and_remembered_only_on_request(browser: Browser, world: World):
    async with a_tab(browser, world.url, KEY) as tab:
        page = tab.page
        await page.goto(world.url)
        await expect(page.locator("#key-dialog")).to_be_visible()
        for key in (REVOKED, KEY):
            await page.fill("#key-input", key)
            await page.click("text=Use key")
            if key == REVOKED:
                await expect(page.locator("#key-reason")).to_contain_text("refused")
        await expect(page.locator("#model option")).to_have_count(3)
        assert KEY not in await page.evaluate("Object.values(localStorage)")
        await page.click("#key")
        await page.fill("#key-input", KEY)
        await page.check("#key-remember")
        await page.click("text=Use key")
        other = await tab.context.new_page()
        await other.goto(world.url)
        await expect(other.locator("#model option")).to_have_count(3)
        await page.click("#key")
        await page.click("text=Forget key")
        await expect(page.locator("#key-reason")).to_contain_text("needs a key")
        assert KEY not in await page.evaluate("[Object.values(localStorage), Object.values(sessionStorage)].flat()")


async def test_the_keyboard_sends_and_starts_new_lines(tab: Tab, world: World):
    page = await tab.open()
    await page.fill("#question", "a")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("b")
    await page.keyboard.press("Enter")
    await expect(page.locator(".assistant .body")).to_contain_text("You said: a")
    assert world.replica.bodies[-1]["messages"][-1]["content"] == "a\nb"
    await expect(page.locator("#question")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.locator("#send")).to_be_focused()


async def test_the_drawer_of_a_phone_opens_and_closes(browser: Browser, world: World):
    async with a_tab(browser, world.url, KEY, viewport=PHONE) as tab:
        page = await tab.open()
        await expect(page.locator("#sidebar")).to_be_hidden()
        await page.click("#side-open")
        await expect(page.locator("#new")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#sidebar")).to_be_hidden()
        await expect(page.locator("#side-open")).to_be_focused()
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


async def test_works_under_a_path_prefix(tab: Tab):
    page = await tab.open("/llm")
    assert page.url.endswith("/llm/")
    assert await tab.answer("prefixed") == "You said: prefixed"


async def test_another_tab_keeps_its_reader_in_place_and_its_names(tab: Tab, world: World):
    page = await tab.open()
    await tab.answer("say 8000")
    other = (await tab.beside()).page
    await other.click("text=say 8000 >> visible=true")
    await other.locator("article").last.wait_for()
    await other.hover("#messages")
    await other.mouse.wheel(0, -600)
    await expect(other.locator("#to-end")).to_be_visible()
    before = await other.evaluate("document.querySelector('#scroller').scrollTop")
    await tab.answer("more")
    await expect(other.locator("article")).to_have_count(4)
    assert await other.evaluate("document.querySelector('#scroller').scrollTop") == before
    await page.click("#new")
    await tab.answer("unrelated")
    await expect(other.locator(".conversation")).to_have_count(2)
    await other.click("[aria-label='Rename say 8000']")
    await other.fill("#name-input", "Lines")
    await other.keyboard.press("Enter")
    await expect(other.locator("#title")).to_have_text("Lines")
    await expect(other.locator("[aria-label='Rename Lines']")).to_be_focused()


async def test_another_tab_sees_changes(tab: Tab):
    page = await tab.open()
    other = (await tab.beside()).page
    await tab.answer("From the first tab")
    await expect(other.locator(".conversation")).to_have_text(["From the first tab"])
    await page.click("[aria-label='Delete From the first tab']")
    await page.click("#confirm-dialog >> text=Delete >> nth=-1")
    await expect(other.locator(".conversation")).to_have_count(0)


async def test_two_tabs_that_answer_in_one_chat_at_the_same_time_lose_no_message(tab: Tab, world: World):
    page = await tab.open()
    await tab.answer("first")
    beside = await tab.beside()
    other = beside.page
    await other.click(".conversation .open")
    await expect(other.locator("article")).to_have_count(2)
    # Both have begun before either hears of the other.
    await other.evaluate("void (BroadcastChannel.prototype.postMessage = () => {})")
    await page.evaluate("void (BroadcastChannel.prototype.postMessage = () => {})")
    await tab.answer("from one")
    await beside.answer("from two")
    await expect(other.locator("#notice")).to_contain_text("Another tab changed this chat")
    await expect(other.locator("#title")).to_have_text("first (copy)")
    await page.reload()
    await expect(page.locator(".conversation .open")).to_have_text(["first (copy)", "first"])
    for title, texts in (
        ("first", ["You said: first", "You said: from one"]),
        ("first (copy)", ["You said: first", "You said: from two"]),
    ):
        await page.get_by_role("button", name=title, exact=True).click()
        await expect(page.locator(".assistant .body")).to_have_text(texts)


async def test_an_answer_does_not_remove_what_another_tab_has_added_behind_it(tab: Tab, world: World):
    page = await tab.open()
    await tab.send("slow")
    await expect(page.locator(".assistant .body")).to_contain_text("Sentence 99")
    beside = await tab.beside()
    await beside.page.click(".conversation .open")
    await beside.answer("meanwhile")
    world.replica.go_on.set()
    await expect(page.locator(".assistant .body").first).to_contain_text("The end of it.")
    world.replica.go_on.clear()
    await expect(page.locator(".assistant .body").last).to_have_text("You said: meanwhile")
    await page.reload()
    await expect(page.locator("article")).to_have_count(4)
    await expect(page.locator(".assistant .body").first).to_contain_text("The end of it.")


async def test_a_question_that_is_sent_before_the_models_are_listed_waits_for_them(tab: Tab):
    listed = asyncio.Event()

    async def later(route: Route) -> None:
        await listed.wait()
        await route.continue_()

    await tab.page.route("**/pages/models", later)
    await tab.page.add_init_script(f"sessionStorage.setItem('chatscale.key', '{KEY}')")
    await tab.page.goto(tab.url)
    await tab.send("early")
    await expect(tab.page.locator("#notice")).to_have_text("The models are loading. The question is sent after that.")
    await expect(tab.page.locator("#question")).to_have_value("early")
    listed.set()
    await expect(tab.page.locator(".assistant .body")).to_have_text("You said: early")
    await expect(tab.page.locator("#question")).to_have_value("")


async def test_export_all_contains_running_answers_and_those_that_cannot_be_stored(tab: Tab, tmp_path: Path):
    page = await tab.open()
    await tab.answer("stored")
    full = "throw new DOMException('', 'QuotaExceededError')"
    await page.evaluate(f"void (IDBObjectStore.prototype.put = () => {{ {full} }})")
    await page.click("#new")
    await tab.answer("not stored")
    await expect(page.locator("#notice")).to_contain_text("storage is full")
    await page.click("#new")
    await tab.send("slow")
    await expect(page.locator(".assistant .body")).to_contain_text("Sentence 99")
    async with page.expect_download() as download:
        await page.click("#export-all")
    path = tmp_path / "all.json"
    await (await download.value).save_as(path)
    await page.click("#stop")
    found = {each["title"]: each["messages"] for each in json.loads(path.read_text())["conversations"]}
    assert found.keys() == {"stored", "not stored", "slow"}
    assert found["not stored"][1]["text"] == "You said: not stored"
    assert "Sentence 99" in found["slow"][1]["text"]
    await page.click(".conversation .open >> text=not stored")
    await expect(page.locator(".assistant .body")).to_have_text("You said: not stored")
