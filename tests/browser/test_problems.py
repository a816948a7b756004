"""What the page says when an answer is late or missing."""

import pytest
from playwright.async_api import expect

from tests.browser.tab import Tab, assert_as_fast_as_a_plain_client, first_tokens
from tests.browser.world import REVOKED, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_model_that_wakes_up_says_so_and_then_answers(tab: Tab, world: World):
    page = await tab.open()
    await page.select_option("#model", "sleepy")
    await tab.send("hello")
    await expect(page.locator(".waiting")).to_contain_text("The model is waking up.")
    await expect(page.locator("#announcer")).to_have_text("The model is waking up.")
    await expect(page.locator("#model option:checked")).to_have_text("sleepy (starting)")
    await world.wake()
    await expect(page.locator(".assistant .body")).to_have_text("You said: hello", timeout=15_000)
    await expect(page.locator("#announcer")).to_have_text("Answer: You said: hello")
    await expect(page.locator(".waiting")).to_have_count(0)


async def test_a_full_queue_counts_down_to_the_next_attempt(tab: Tab):
    page = await tab.open()
    await page.select_option("#model", "full")
    await tab.send("hello")
    problem = page.locator(".problem")
    await expect(problem).to_contain_text("The queue is full")
    button = problem.locator("button")
    await expect(button).to_be_disabled()
    first = int("".join(filter(str.isdigit, await button.inner_text())))
    await expect(button).not_to_have_text(f"Try again in {first} s")
    assert 0 < int("".join(filter(str.isdigit, await button.inner_text()))) < first


@pytest.mark.parametrize(
    ("question", "text"),
    [
        pytest.param("fail", "the GPU fell off the bus", id="error event"),
        pytest.param("break", "The answer is not complete", id="broken stream"),
    ],
)
async def test_a_broken_stream_is_never_shown_as_an_answer(tab: Tab, question, text):
    page = await tab.open()
    await tab.send(question)
    await expect(page.locator(".problem")).to_contain_text(text)
    await expect(page.locator(".assistant .body")).to_have_text("The beginning of")
    await page.reload()
    await expect(page.locator(".problem")).to_contain_text(text)
    await expect(page.locator(".problem button")).to_be_enabled()


async def test_a_lost_network_is_named_and_the_question_is_kept(tab: Tab):
    page = await tab.open()
    await tab.context.set_offline(True)
    await tab.send("hello")
    await expect(page.locator(".problem")).to_contain_text("No connection to the gateway")
    await tab.context.set_offline(False)
    await page.click(".problem button")
    await expect(page.locator(".assistant .body")).to_have_text("You said: hello")


async def test_a_revoked_key_an_unknown_model_and_a_refusal_are_explained(tab: Tab):
    page = await tab.open()
    await tab.send("refuse")
    await expect(page.locator(".problem")).to_contain_text("this prompt has 9000 tokens")
    await page.click("#new")
    # At once: the page reads the models again and again, and then shows the listed ones and the chosen one.
    choose = "model.append(new Option('gone')); model.value = 'gone'; model.dispatchEvent(new Event('change'))"
    await page.eval_on_selector("#model", f"(model) => {{ {choose} }}")
    await tab.send("hello")
    await expect(page.locator(".problem")).to_contain_text("no such model")
    await page.click("#new")
    await page.select_option("#model", "tiny")
    await page.evaluate(f"sessionStorage.setItem('chatscale.key', '{REVOKED}')")
    await tab.send("hello")
    await expect(page.locator(".problem")).to_contain_text("The API key was refused")


async def test_a_page_that_was_closed_during_an_answer_says_so(tab: Tab, world: World):
    page = await tab.open()
    await tab.send("slow")
    await expect(page.locator(".assistant .body")).to_contain_text("Sentence 99")
    await page.reload()
    await expect(page.locator(".problem")).to_contain_text("The page was closed during this answer")


async def test_reasoning_is_shown_apart_and_named_while_it_comes(tab: Tab, world: World):
    page = await tab.open()
    await tab.send("think")
    await expect(page.locator(".reasoning div")).to_have_text("First this, then that.")
    await expect(page.locator(".waiting")).to_contain_text("The model is reasoning")
    world.replica.go_on.set()
    await expect(page.locator(".assistant .body")).to_have_text("You said: think")
    world.replica.go_on.clear()
    await expect(page.locator(".waiting")).to_have_count(0)
    await page.reload()
    await expect(page.locator(".reasoning div")).to_have_text("First this, then that.")


async def test_an_answer_goes_on_while_another_chat_is_open(tab: Tab, world: World):
    page = await tab.open()
    await tab.send("slow")
    await expect(page.locator(".assistant .body")).to_contain_text("Sentence 99")
    await page.click("#new")
    await tab.answer("meanwhile")
    world.replica.go_on.set()
    await page.click(".conversation .open >> text=slow")
    await expect(page.locator(".assistant .body")).to_contain_text("The end of it.")
    world.replica.go_on.clear()


async def test_the_first_token_is_as_fast_as_that_of_a_plain_client(tab: Tab):
    page = await tab.open()
    await page.select_option("#model", "tiny")
    await tab.answer("warm up")
    assert_as_fast_as_a_plain_client(await first_tokens(tab, "tiny"))
