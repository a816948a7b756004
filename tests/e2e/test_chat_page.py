"""Promise: a browser chats with a model of the cluster through the gateway's chat page."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect, sync_playwright

from hack import kube
from hack.browser import ensure_chromium
from tests.e2e.support import Model, chatmodel, gateway_key, gateway_url

NAMESPACE = "e2e-chat-page"


@pytest.fixture(scope="module")
def model(images: dict[str, str]) -> Iterator[Model]:
    kube.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout_s=100)
    kube.kubectl("create", "namespace", NAMESPACE)
    served = Model(chatmodel("page", NAMESPACE))
    served.apply()
    served.wait_ready(1)
    yield served
    kube.delete_namespace(NAMESPACE)


def test_a_browser_gets_an_answer_on_the_chat_page(model: Model) -> None:
    chromium = ensure_chromium()
    if chromium is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no Chromium")
        pytest.skip("no Chromium: install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(gateway_url() + "/")
        page.fill("#key-input", gateway_key())
        page.click("text=Use key")
        option = page.locator("#model option", has_text=model.name).first
        option.wait_for(state="attached")
        page.select_option("#model", option.get_attribute("value"))
        page.fill("#question", "Where is my parcel?")
        page.press("#question", "Enter")
        page.locator("#send").wait_for(timeout=60_000)
        expect(page.locator(".assistant .body")).not_to_be_empty()
        expect(page.locator(".problem")).to_have_count(0)
        browser.close()
