"""What a model writes as a call becomes a call; whatever else it writes stays text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.http.tool_calls import ParsedToolCall, ToolCallParser

FIND = '<tool_call>\n{"name": "find", "arguments": {"id": 7}}\n</tool_call>'
CALL = ParsedToolCall("find", '{"id": 7}')


def parsed(*pieces: str) -> list[str | ParsedToolCall]:
    """Neighbouring text is one text."""
    parser = ToolCallParser()
    merged: list[str | ParsedToolCall] = []
    for part in [part for piece in pieces for part in parser.push(piece)] + parser.end():
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    assert parser.calls == sum(isinstance(part, ParsedToolCall) for part in merged)
    return merged


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("Hello there.\n", ["Hello there.\n"], id="no-call"),
        pytest.param(FIND, [CALL], id="call"),
        pytest.param(f"Let me see.\n\n{FIND}\n", ["Let me see.", CALL], id="text-before"),
        pytest.param(f"{FIND}\n{FIND}", [CALL, CALL], id="two-calls"),
        pytest.param(f"{FIND} Done.", [CALL, " Done."], id="text-after"),
        pytest.param(FIND.removesuffix("\n</tool_call>"), [CALL], id="last-mark-missing"),
        pytest.param('<tool_call>{"name": "now"}</tool_call>', [ParsedToolCall("now", "{}")], id="no-arguments"),
        pytest.param('<tool_call>{"name": "f", "argum', ['<tool_call>{"name": "f", "argum'], id="cut-short"),
        pytest.param("<tool_call>find</tool_call>", ["<tool_call>find</tool_call>"], id="no-json"),
        pytest.param('<tool_call>{"name": 1}</tool_call>', ['<tool_call>{"name": 1}</tool_call>'], id="no-name"),
        pytest.param('<tool_call>{"name":"f","arguments":7}</tool_call>',
                     ['<tool_call>{"name":"f","arguments":7}</tool_call>'], id="arguments-no-object"),
        pytest.param("<tool_call>" + "[" * 100_000 + "</tool_call>",
                     ["<tool_call>" + "[" * 100_000 + "</tool_call>"], id="too-deep"),
        *(
            pytest.param(text, [text], id=name)
            for name, text in (
                ("nan", '<tool_call>{"name":"f","arguments":{"a":NaN}}</tool_call>'),
                ("infinity", '<tool_call>{"name":"f","arguments":{"a":[-Infinity]}}</tool_call>'),
                ("beyond-numbers", '<tool_call>{"name":"f","arguments":{"a":1e999}}</tool_call>'),
                ("half-a-character", r'<tool_call>{"name":"f","arguments":{"a":"\ud800"}}</tool_call>'),
                ("half-a-character-in-the-name", r'<tool_call>{"name":"\udfff"}</tool_call>'),
            )
        ),
        pytest.param("1 < 2 and <tool", ["1 < 2 and <tool"], id="half-a-mark"),
        pytest.param(" ", [" "], id="white-space-alone"),
        pytest.param("", [], id="nothing"),
    ],
)  # fmt: skip
def test_calls_are_separated_from_text(text, parts):
    assert parsed(text) == parts


@given(text=st.text(alphabet="<tol_ca>/{} \n", max_size=40) | st.sampled_from([f"a {FIND}\n{FIND} b"]), data=st.data())
def test_how_the_text_is_split_changes_nothing(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert parsed(*pieces) == parsed(text)


@given(text=st.text(alphabet="<tol_ca>/{} \n", max_size=40))
def test_text_without_calls_is_unchanged(text):
    assert "".join(part for part in parsed(text) if isinstance(part, str)).split() == text.split()


def test_text_that_cannot_become_a_call_is_sent_at_once():
    parser = ToolCallParser()
    assert parser.push("Where is <it") == ["Where is <it"]
    assert parser.push(" \n<tool_") == []
    assert parser.push("box>") == [" \n<tool_box>"]
