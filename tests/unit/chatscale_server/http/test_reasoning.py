"""Reasoning never reaches the content, however the text is split."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat
from chatscale_server.http.message_parser import MessageParser, build_message_parser
from chatscale_server.http.reasoning import opens_reasoning
from chatscale_server.http.tool_calls.events import CallArguments, CallStart, Content, Reasoning
from tests.unit.chatscale_server.http.test_tool_calls import CALL, FIND, FUNCTIONS, parsed


def a_parser(kind: ReasoningFormat = ReasoningFormat.THINK, *, inside: bool = False) -> MessageParser:
    parser = build_message_parser(ToolFormat.HERMES, kind, FUNCTIONS, inside=inside, one_call=False)
    assert parser is not None
    return parser


ROWS = [
    pytest.param("<think>\nHm. So.\n</think>\n\nYes.", False, [Reasoning("Hm. So."), Content("Yes.")], id="both"),
    pytest.param("\n\n<think>a</think>b", False, [Reasoning("a"), Content("b")], id="white-space-before"),
    pytest.param("Hm. So.\n</think>\nYes.", True, [Reasoning("Hm. So."), Content("Yes.")], id="opened-by-the-prompt"),
    pytest.param("<think>Hm.</think>Yes.", True, [Reasoning("Hm."), Content("Yes.")], id="opened-twice"),
    pytest.param("<think>\n\n</think>\n\nYes.", False, [Content("Yes.")], id="empty"),
    pytest.param("Yes.", False, [Content("Yes.")], id="none"),
    pytest.param("<think>Hm. \n", False, [Reasoning("Hm.")], id="cut-short"),
    pytest.param("Hm", True, [Reasoning("Hm")], id="cut-short-within"),
    pytest.param("<thi", False, [Content("<thi")], id="half-a-mark"),
    pytest.param(f"<think>Hm. {FIND}</think>\n{FIND}", False, [Reasoning(f"Hm. {FIND}"), *CALL], id="call-after"),
    pytest.param("So <think>hm</think> yes</think>.", False,
                 [Content("So "), Reasoning("hm"), Content("yes.")], id="within-the-answer"),
    pytest.param('<tool_call>{"name": "f", "arguments": {"a": "<think>"}}</tool_call>', False,
                 [CallStart("f"), CallArguments('{"a": "<think>"}')], id="within-arguments"),
    pytest.param("<think><think>a</think>b", True, [Reasoning("a"), Content("b")], id="opened-again-and-again"),
    pytest.param("<think>a</think>\n<think>b</think>c", False, [Reasoning("ab"), Content("c")], id="twice"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "inside", "events"), ROWS)
def test_reasoning_is_separated_from_the_answer(words, inside, events):
    assert parsed(a_parser(inside=inside), words) == events
    assert parsed(a_parser(inside=inside), *words) == events
    magistral = words.replace("<think>", "[THINK]").replace("</think>", "[/THINK]")
    if "<thi" not in words.replace("<think>", ""):
        expected = [
            type(e)(e.text.replace("<think>", "[THINK]")) if isinstance(e, CallArguments) else e for e in events
        ]
        assert parsed(a_parser(ReasoningFormat.MISTRAL, inside=inside), magistral) == expected


PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", " ", "\n", "a", "<", "</thi", FIND, "<tool_call>"]), max_size=10
)


@example(words="<think><think>", inside=True, cuts=[7])
@given(words=PIECES.map("".join), inside=st.booleans(), cuts=st.lists(st.integers(0, 99), max_size=8))
def test_no_split_changes_the_message_and_no_mark_is_content(words, inside, cuts):
    whole = parsed(a_parser(inside=inside), words)
    cuts = sorted(min(cut, len(words)) for cut in cuts)
    pieces = [words[start:end] for start, end in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    assert parsed(a_parser(inside=inside), *pieces) == whole
    assert not any(
        mark in event.text for event in whole if isinstance(event, Content) for mark in ("<think>", "</think>")
    )


@pytest.mark.parametrize(
    ("end", "opens"),
    [("<|im_start|>assistant\n<think>\n", True), ("<think>\n\n</think>\n\n", False), ("assistant\n", False)],
)
def test_the_prompt_shows_whether_it_opens_the_reasoning(end, opens):
    assert opens_reasoning(ReasoningFormat.THINK, end) is opens
    assert not opens_reasoning(ReasoningFormat.NONE, end)


def test_a_model_without_reasoning_and_tools_has_no_parser():
    assert build_message_parser(ToolFormat.HERMES, ReasoningFormat.NONE, {}, inside=False, one_call=False) is None
