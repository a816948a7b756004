"""The modules of the page that have no document: parser, requests, files, words."""

from typing import Any

import pytest

from tests.browser.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def run(tab: Tab, module: str, body: str, argument: Any = None) -> Any:
    """Evaluate `body`, a function of the module and the argument, in the page."""
    page = await tab.open()
    source = await page.locator("script[src*='chat/app.js']").get_attribute("src")
    address = f"{tab.url}/{str(source).replace('app.js', module)}"
    script = f"async ([address, argument]) => ({body})(await import(address), argument)"
    return await page.evaluate(script, [address, argument])


async def test_the_parser_finds_the_same_events_wherever_a_stream_is_split(tab: Tab):
    stream = ": waiting\r\n\r\ndata: a\ndata:b\n\nevent: x\rdata: ü\r\rid: 1\n\ndata: [DONE]\n\ndata: cut"
    found = await run(
        tab,
        "sse.js",
        """({ SseParser }, stream) => {
          const all = [];
          for (let at = 0; at <= stream.length; at++) {
            const parser = new SseParser();
            all.push(JSON.stringify([...parser.feed(stream.slice(0, at)), ...parser.feed(stream.slice(at))]));
          }
          const single = new SseParser();
          all.push(JSON.stringify([...stream].flatMap((char) => single.feed(char))));
          return [new Set(all).size, JSON.parse(all[0])];
        }""",
        stream,
    )
    assert found == [
        1,
        [
            {"type": "comment", "data": "waiting"},
            {"type": "event", "data": "a\nb"},
            {"type": "event", "data": "ü"},
            {"type": "event", "data": "[DONE]"},
        ],
    ]


async def test_a_request_has_questions_and_answers_in_turn(tab: Tab):
    messages = [
        {"role": "user", "text": "lost"},
        {"role": "assistant", "text": "", "state": "failed"},
        {"role": "user", "text": "again"},
        {"role": "assistant", "text": "yes", "reasoning": "hidden"},
        {"role": "user", "text": "next"},
    ]
    body = """({ requestBody, newConversation }, messages) =>
      requestBody({ ...newConversation("1", "m", 0), sampling: { system: " ", maxTokens: 5, temperature: 0,
        topK: null, topP: null } }, messages)"""
    assert await run(tab, "conversation.js", body, messages) == {
        "model": "m",
        "max_tokens": 5,
        "temperature": 0,
        "messages": [
            {"role": "user", "content": "again"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "next"},
        ],
    }


async def test_markdown_that_the_parser_cannot_read_in_time_is_shown_as_text(tab: Tab):
    body = """({ renderMarkdown, splitBlocks }) => {
      const begin = performance.now();
      const found = [">".repeat(5000), "a".repeat(100_000), "**b**\\n\\n" + "a_b".repeat(30_000)].map((text) => {
        const fragment = renderMarkdown(text);
        return [fragment.textContent.length, fragment.querySelectorAll("strong").length, splitBlocks(text).length > 0];
      });
      const code = renderMarkdown("```\\n" + "a".repeat(5000) + "\\n```").querySelector("pre code") !== null;
      return [found, code, performance.now() - begin];
    }"""
    found, code, passed_ms = await run(tab, "markdown.js", body)
    assert found == [[5000, 0, True], [100_000, 0, True], [90_002, 1, True]]
    assert code
    assert passed_ms < 5000, "one word of 100,000 characters took a minute"


async def test_tokens_of_an_identity_provider_are_keys(tab: Tab):
    body = '({ isKey }) => ["csk-1", "e".repeat(2000), "e".repeat(5000), "a b", ""].map(isKey)'
    assert await run(tab, "../shared/key.js", body) == [True, True, False, False, False]


async def test_an_import_takes_nothing_that_an_export_cannot_have_written(tab: Tab):
    bad = [
        '{"format": "chatscale-conversations", "version": 2, "conversations": []}',
        '{"format": "chatscale-conversations", "version": 1, "conversations": [null]}',
        '{"format": "chatscale-conversations", "version": 1, "conversations": [{"messages": [{"role": "system"}]}]}',
    ]
    body = """({ fromJson }, texts) => texts.map((text) => {
      try { return fromJson(text, () => "id"); } catch (error) { return error.message; }
    })"""
    good = (
        '{"format": "chatscale-conversations", "version": 1, "conversations": [{"id": "x", "title": 5, "sampling": '
        '{"temperature": 99, "topK": 40}, "messages": [{"role": "assistant", "text": "a", "rating": "<b>", "x": 1}]}]}'
    )
    *refused, taken = await run(tab, "transfer.js", body, [*bad, good])
    assert refused == [
        "The file has version 2; this page reads version 1.",
        "Conversation 1 of the file has no messages.",
        "Conversation 1 of the file has a message without role or text.",
    ]
    sampling = taken[0]["conversation"]["sampling"]
    assert (taken[0]["conversation"]["id"], taken[0]["conversation"]["title"]) == ("id", "")
    assert (sampling["temperature"], sampling["topK"]) == (None, 40)
    message = taken[0]["messages"][0]
    assert (message["rating"], message["state"], "x" in message) == (None, "stopped", False)
