"""What a model writes as a call becomes a call; whatever else it writes stays text. In every format."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat
from chatscale_server.http.message_parser import build_message_parser
from chatscale_server.http.tool_calls.events import CallArguments, CallStart, Content, Event, Parser, Reasoning
from chatscale_server.http.tool_calls.formats import build_call_parser, call_id

FUNCTIONS: dict[str, dict[str, Any]] = {
    "find": {"properties": {"id": {"type": "integer"}, "note": {"type": "string"}, "any": {"type": ["object", "null"]}}}
}
FIND = '<tool_call>\n{"name": "find", "arguments": {"id": 7}}\n</tool_call>'
CALL = [CallStart("find"), CallArguments('{"id": 7}')]


def merged(events: Sequence[Event]) -> list[Event]:
    """Neighbouring pieces of one kind are one piece."""
    found: list[Event] = []
    for event in events:
        if found and not isinstance(event, CallStart) and type(event) is type(found[-1]):
            found[-1] = type(event)(found[-1].text + event.text)
        else:
            found.append(event)
    return found


def parsed(parser: Parser | None, *pieces: str) -> list[Event]:
    assert parser is not None
    return merged([event for piece in pieces for event in parser.push(piece)] + parser.end())


def text(words: str) -> list[Event]:
    return [Content(words)]


HERMES = [
    pytest.param("Hello there.\n", text("Hello there.\n"), id="no-call"),
    pytest.param(FIND, CALL, id="call"),
    pytest.param(f"Let me see.\n\n{FIND}\n", [*text("Let me see."), *CALL], id="text-before"),
    pytest.param(f"{FIND}\n{FIND}", [*CALL, *CALL], id="two-calls"),
    pytest.param(f"{FIND} Done.", [*CALL, *text(" Done.")], id="text-after"),
    pytest.param(FIND.removesuffix("\n</tool_call>"), CALL, id="last-mark-missing"),
    pytest.param(f"{FIND.removesuffix('</tool_call>')}{FIND}", [*CALL, *CALL], id="first-mark-missing"),
    pytest.param('<tool_call>{"name": "now"}</tool_call>', [CallStart("now"), CallArguments("{}")], id="no-arguments"),
    pytest.param('<tool_call>{"name": "f", "arguments": null}</tool_call>', [CallStart("f"), CallArguments("{}")],
                 id="null-arguments"),
    pytest.param('<tool_call>{"arguments": {"id": 7}, "name": "find"}</tool_call>', CALL, id="arguments-first"),
    pytest.param('<tool_call>{"name": "find", "arguments": "{\\"id\\": 7}"}</tool_call>', CALL, id="arguments-as-text"),
    pytest.param('<tool_call>{"name": "f", "arguments": {"a": "</tool_call>}"}}</tool_call>',
                 [CallStart("f"), CallArguments('{"a": "</tool_call>}"}')], id="mark-within-a-text"),
    pytest.param('<tool_call>{"name": "f", "argum', [], id="cut-short"),
    pytest.param('Hm. <tool_call>{"name": "f", "arguments": {"a": "b', [*text("Hm."), CallStart("f"),
                 CallArguments('{"a": "b')], id="arguments-cut-short"),
    pytest.param("<tool_call>find</tool_call>", text("<tool_call>find</tool_call>"), id="no-json"),
    pytest.param('<tool_call>{"name": 1}</tool_call>', text('<tool_call>{"name": 1}</tool_call>'), id="no-name"),
    pytest.param('<tool_call>{"name":"f","arguments":7}</tool_call>',
                 text('<tool_call>{"name":"f","arguments":7}</tool_call>'), id="arguments-no-object"),
    pytest.param("<tool_call>" + "[" * 100_000, text("<tool_call>" + "[" * 100_000), id="too-deep"),
    pytest.param('<tool_call>{"x":' + "[" * 3_000 + "]" * 3_000, text('<tool_call>{"x":' + "[" * 3_000 + "]" * 3_000),
                 id="too-deep-before-the-name"),
    pytest.param(r'<tool_call>{"name":"\udfff"}</tool_call>', text(r'<tool_call>{"name":"\udfff"}</tool_call>'),
                 id="half-a-character-in-the-name"),
    pytest.param('<tool_call>{"arguments": {"a": NaN}, "name": "f"}', text(
                 '<tool_call>{"arguments": {"a": NaN}, "name": "f"}'), id="nan-before-the-name"),
    pytest.param("1 < 2 and <tool", text("1 < 2 and <tool"), id="half-a-mark"),
    pytest.param(" ", text(" "), id="white-space-alone"),
    pytest.param("", [], id="nothing"),
]  # fmt: skip
LLAMA3 = [
    pytest.param("Hello { there.", text("Hello { there."), id="no-call"),
    pytest.param('{"name": "find", "parameters": {"id": 7}}', CALL, id="call"),
    pytest.param('<|python_tag|>{"name": "find", "parameters": {"id": 7}}', CALL, id="tag"),
    pytest.param('{"type": "function", "name": "find", "parameters": {"id": 7}}\n', CALL, id="type"),
    pytest.param('{"name": "find", "parameters": {"id": 7}}; {"name": "find", "parameters": {"id": 7}}',
                 [*CALL, *CALL], id="two-calls"),
    pytest.param('So. <|python_tag|>{"name": "find", "arguments": {"id": 7}}', [*text("So. "), *CALL], id="after-text"),
    pytest.param('{"name": "find"', [], id="cut-short"),
    pytest.param('{"id": 7}', text('{"id": 7}'), id="other-json"),
    pytest.param("<|python_tag|>print(1)", text("print(1)"), id="code"),
    pytest.param('{"name": "find", "parameters": {"id": 7}} Done.', [*CALL, *text(" Done.")], id="text-after"),
]  # fmt: skip
MISTRAL = [
    pytest.param("Hello [there].", text("Hello [there]."), id="no-call"),
    pytest.param('[TOOL_CALLS] [{"name": "find", "arguments": {"id": 7}}]', CALL, id="list"),
    pytest.param('[TOOL_CALLS][{"name": "find", "arguments": {"id": 7}, "id": "abcdefghi"}, '
                 '{"name": "find", "arguments": {"id": 7}}]', [*CALL, *CALL], id="two-in-a-list"),
    pytest.param('[TOOL_CALLS]find[ARGS]{"id": 7}', CALL, id="name"),
    pytest.param('[TOOL_CALLS]find{"id": 7}', CALL, id="name-alone"),
    pytest.param('[TOOL_CALLS]find[CALL_ID]abcdefghi[ARGS]{"id": 7}[TOOL_CALLS]find[ARGS]{"id": 7}', [*CALL, *CALL],
                 id="two-names"),
    pytest.param('So. \n[TOOL_CALLS]find[ARGS]{"id": 7}', [*text("So."), *CALL], id="after-text"),
    pytest.param('[TOOL_CALLS]{"name": "find", "arguments": {"id": 7}}', CALL, id="object"),
    pytest.param('[TOOL_CALLS] [{"name": "fi', [], id="cut-short"),
    pytest.param("[TOOL_CALLS]fin", [], id="name-cut-short"),
    pytest.param("[TOOL_CALLS] ??", text("[TOOL_CALLS] ??"), id="no-call-after-the-mark"),
]  # fmt: skip
CODER = "<tool_call>\n<function=find>\n{}</function>\n</tool_call>"
QWEN3_CODER = [
    pytest.param("Hello <there>.", text("Hello <there>."), id="no-call"),
    pytest.param(CODER.format("<parameter=id>\n7\n</parameter>\n"), CALL, id="call"),
    pytest.param(CODER.format("").removeprefix("<tool_call>\n"), [CallStart("find"), CallArguments("{}")],
                 id="no-arguments-and-no-mark"),
    pytest.param(
        CODER.format('<parameter=note>\n "a"\n</b>\n\n</parameter>\n<parameter=any>\n{"x": [1]}\n</parameter>\n'),
        [CallStart("find"), CallArguments(r'{"note": " \"a\"\n</b>\n", "any": {"x": [1]}}')], id="texts-and-objects"),
    pytest.param(CODER.format("<parameter=any>\nNone\n</parameter>\n<parameter=new>7</parameter>"),
                 [CallStart("find"), CallArguments('{"any": null, "new": "7"}')], id="python-and-unknown"),
    pytest.param(CODER.format("<parameter=id>\nseven\n</parameter>\n"),
                 [CallStart("find"), CallArguments('{"id": "seven"}')], id="no-number"),
    pytest.param(f"So.\n{CODER.format('')}\n{CODER.format('')}",
                 [*text("So."), *[CallStart("find"), CallArguments("{}")] * 2], id="two-calls"),
    pytest.param("<tool_call>\n<function=find>\n<parameter=note>\nab",
                 [CallStart("find"), CallArguments('{"note": "ab')], id="cut-short"),
    pytest.param("<tool_call>\n<func", [], id="name-cut-short"),
    pytest.param("<tool_call>x", text("<tool_call>x"), id="no-call-after-the-mark"),
]  # fmt: skip
HARMONY = [
    pytest.param("<|channel|>final<|message|>Hello.", text("Hello."), id="no-call"),
    pytest.param("Hello.", text("Hello."), id="no-message"),
    pytest.param(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.find "
        '<|constrain|>json<|message|>{"id": 7}<|call|>', [Reasoning("Hm."), *CALL], id="call"),
    pytest.param(' to=functions.find<|channel|>commentary json<|message|>{"id": 7}', CALL, id="recipient-first"),
    pytest.param("<|channel|>commentary<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Yes <b>",
                 text("So.Yes <b>"), id="preamble"),
    pytest.param("<|channel|>analysis<|message|>Hm.<|end|><|start|>assi", [Reasoning("Hm.")], id="cut-short"),
    pytest.param("<|channel|>commentary to=functions.find<|mess", [], id="header-cut-short"),
    pytest.param('<|channel|>commentary to=functions.find<|message|>{"i', [CallStart("find"), CallArguments('{"i')],
                 id="arguments-cut-short"),
]  # fmt: skip
FORMATS = {
    ToolFormat.HERMES: HERMES, ToolFormat.LLAMA3: LLAMA3, ToolFormat.MISTRAL: MISTRAL,
    ToolFormat.QWEN3_CODER: QWEN3_CODER, ToolFormat.HARMONY: HARMONY,
}  # fmt: skip
EVERY = [pytest.param(kind, *case.values, id=f"{kind}-{case.id}") for kind, cases in FORMATS.items() for case in cases]
ALPHABETS = {
    ToolFormat.HERMES: [FIND, "<tool_call>", "</tool_call>", '{"name": "f"', ', "arguments": {', "}", '"', " \n"],
    ToolFormat.LLAMA3: ["<|python_tag|>", '{"name": "f"', ', "parameters": {', "}", ";", '"', "[", " \n", "<|pyth"],
    ToolFormat.MISTRAL: ["[TOOL_CALLS]", '[{"name": "f"', ', "arguments": {', "}", "]", "[ARGS]", "[CALL_ID]", " "],
    ToolFormat.QWEN3_CODER: ["<tool_call>", "</tool_call>", "<function=find>", "</function>", "<parameter=note>",
                             "<parameter=id>", "</parameter>", "\n", "7", '"', "<func", "é"],
    ToolFormat.HARMONY: ["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|call|>", "final", "analysis",
                         "commentary", " to=functions.f", "{}", "<|", "assistant"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "words", "events"), EVERY)
def test_calls_are_separated_from_text(kind, words, events):
    assert parsed(build_call_parser(kind, FUNCTIONS), words) == events


@pytest.mark.parametrize(("kind", "words", "events"), [case for case in EVERY if len(case.values[1]) < 1000])
def test_a_stream_of_single_characters_gives_the_same(kind, words, events):
    assert parsed(build_call_parser(kind, FUNCTIONS), *words) == events


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
@settings(max_examples=80)
def test_how_the_text_is_split_changes_nothing(kind, data):
    words = "".join(data.draw(st.lists(st.sampled_from(ALPHABETS[kind]), max_size=12)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=8)))
    pieces = [words[start:end] for start, end in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    whole = parsed(build_call_parser(kind, FUNCTIONS), words)
    assert parsed(build_call_parser(kind, FUNCTIONS), *pieces) == whole
    assert parsed(build_call_parser(kind, FUNCTIONS), *words) == whole


@pytest.mark.parametrize("kind", FORMATS)
@given(words=st.text("ab <>{}[]|\n", max_size=40))
def test_text_without_calls_is_unchanged(kind, words):
    if kind is ToolFormat.LLAMA3:
        words = "a" + words
    if kind is ToolFormat.HARMONY:
        words = "<|channel|>final<|message|>" + words
    found = parsed(build_call_parser(kind, FUNCTIONS), words)
    assert "".join(event.text for event in found).split() == words.rpartition("<|message|>")[2].split()


@pytest.mark.parametrize(
    ("kind", "head", "arguments"),
    [
        (ToolFormat.HERMES, '<tool_call>{"name": "find", "arguments": ', '{"note": "a b"}'),
        (ToolFormat.LLAMA3, '{"name": "find", "parameters": ', '{"note": "a b"}'),
        (ToolFormat.MISTRAL, "[TOOL_CALLS]find[ARGS]", '{"note": "a b"}'),
        (ToolFormat.QWEN3_CODER, "<tool_call><function=find>\n<parameter=note>\n", "a b"),
        (ToolFormat.HARMONY, "<|channel|>commentary to=functions.find<|message|>", '{"note": "a b"}'),
    ],
)
def test_arguments_are_sent_as_they_come(kind, head, arguments):
    parser = build_call_parser(kind, FUNCTIONS)
    assert CallStart("find") in parser.push(head) + parser.push(arguments[0])
    for letter in arguments[1:-1]:
        assert parser.push(letter) == [CallArguments(letter)]


def test_text_that_cannot_become_a_call_is_sent_at_once():
    parser = build_call_parser(ToolFormat.HERMES, FUNCTIONS)
    assert parser.push("Where is <it") == [Content("Where is <it")]
    assert parser.push(" \n<tool_") == []
    assert parser.push("box>") == [Content(" \n<tool_box>")]


def test_the_arguments_of_a_long_call_are_not_read_again_for_each_token():
    parser = build_call_parser(ToolFormat.HERMES, FUNCTIONS)
    parser.push('<tool_call>{"arguments": {"a": "')
    pieces = [event for _ in range(50_000) for event in parser.push("abcd")]
    assert (pieces, parser.push('"}, "name": "f"}')[0]) == ([], CallStart("f"))


def test_a_model_without_offered_functions_makes_no_calls():
    assert build_call_parser(ToolFormat.HERMES, {}) is None
    message = "<|channel|>commentary to=functions.find<|message|>{}"
    assert parsed(build_call_parser(ToolFormat.HARMONY, {}), message) == text("{}")


def test_ids_of_mistral_are_nine_letters_and_digits():
    ids = {call_id(ToolFormat.MISTRAL, "abc", at) for at in range(50)}
    assert len(ids) == 50
    assert all(len(one) == 9 and one.isalnum() and one.isascii() for one in ids)
    assert call_id(ToolFormat.HERMES, "abc", 1) == "call_abc1"


def test_after_the_first_call_of_one_nothing_follows():
    for kind, words in (
        (ToolFormat.LLAMA3, '{"name": "find", "parameters": {"id": 7}};{"name": "find", "parameters": {"id": 8}} x'),
        (ToolFormat.MISTRAL, '[TOOL_CALLS]find[ARGS]{"id": 7}[TOOL_CALLS]find[ARGS]{"id": 8}'),
    ):
        parser = build_message_parser(kind, ReasoningFormat.NONE, FUNCTIONS, inside=False, one_call=True)
        assert parsed(parser, *words) == CALL
        both = build_message_parser(kind, ReasoningFormat.NONE, FUNCTIONS, inside=False, one_call=False)
        assert sum(isinstance(event, CallStart) for event in parsed(both, *words)) == 2


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(value=st.recursive(LEAVES, lambda inner: st.dictionaries(st.text(max_size=3), inner | st.lists(inner))))
def test_any_arguments_come_out_as_they_went_in(value):
    arguments = json.dumps({"a": value})
    call = f'<tool_call>\n{{"name": "f", "arguments": {arguments}}}\n</tool_call>'
    assert parsed(build_call_parser(ToolFormat.HERMES, FUNCTIONS), *call) == [CallStart("f"), CallArguments(arguments)]


@pytest.mark.parametrize(
    ("kind", "words", "arguments"),
    [
        (ToolFormat.HERMES, '<tool_call>{"name": "find", "arguments": {id: 7}}</tool_call>', "{id: 7}"),
        (ToolFormat.HERMES, '<tool_call>{"name": "find", "arguments": {"id": NaN,}}</tool_call>', '{"id": NaN,}'),
        (ToolFormat.LLAMA3, '{"name": "find", "parameters": {id: 7}}', "{id: 7}"),
        (ToolFormat.MISTRAL, "[TOOL_CALLS]find[ARGS]{id: 7}", "{id: 7}"),
        (ToolFormat.HARMONY, "<|channel|>commentary to=functions.find<|message|>{id: 7}<|call|>", "{id: 7}"),
    ],
)
def test_arguments_that_are_no_json_are_passed_on_as_written_and_the_call_ends_where_it_ends(kind, words, arguments):
    """They were streamed before the error was seen. A strict function prevents it."""
    assert parsed(build_call_parser(kind, FUNCTIONS), words) == [CallStart("find"), CallArguments(arguments)]
    assert parsed(build_call_parser(kind, FUNCTIONS), *words) == [CallStart("find"), CallArguments(arguments)]


@pytest.mark.parametrize("value", ["seven", "{", "[1,", "NaN", "1e999", '"a', "\\ud800"])
def test_qwen3_coder_gives_valid_json_whatever_the_model_writes(value):
    words = CODER.format(f"<parameter=id>\n{value}\n</parameter>\n")
    start, arguments = parsed(build_call_parser(ToolFormat.QWEN3_CODER, FUNCTIONS), words)
    assert start == CallStart("find")
    assert isinstance(arguments, CallArguments)
    assert json.loads(arguments.text).keys() == {"id"}
