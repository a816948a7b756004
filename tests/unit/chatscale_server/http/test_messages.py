"""Messages of a chat: what clients send back is accepted, and the template gets plain turns."""

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.protocol import ChatMessage, ToolCall
from tests.unit.chatscale_server.http.bodies import CALL, HELLO, parse_chat, refusal

REPLY = {
    "role": "assistant", "content": "Yes.", "refusal": None, "function_call": None, "audio": None, "annotations": [],
    "tool_calls": None, "provider_specific_fields": {"refusal": None}, "reasoning": "hm", "reasoning_content": "hm",
    "thinking_blocks": [], "id": "msg_1", "type": "message", "status": "completed", "parsed": {"a": 1}, "unknown": None,
}  # fmt: skip


CALLING = {
    "role": "assistant", "content": None, "function_call": None,
    "tool_calls": [{**CALL, "index": 0, "provider_specific_fields": {}, "function": {
        **CALL["function"], "parsed_arguments": {"id": 7}, "provider_specific_fields": None}}],
}  # fmt: skip


PART = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}, "annotations": None}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(REPLY, ChatMessage("assistant", "Yes.", reasoning="hm"), id="reply"),
        pytest.param(CALLING, ChatMessage("assistant", "", None, (ToolCall("c1", "find_order", {"id": 7}),)),
                     id="call"),
        pytest.param({"role": "assistant", "content": None, "refusal": "No."}, ChatMessage("assistant", "No."),
                     id="refusal"),
        pytest.param({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                     ChatMessage("assistant", "No."), id="refusal-part"),
        *(
            pytest.param({"role": role, "content": [PART], "cache_control": {}, "tool_calls": None,
                          "tool_call_id": None, "metadata": {}}, ChatMessage(seen, "Hello"), id=role)
            for role, seen in (("system", "system"), ("developer", "system"), ("user", "user"),
                               ("assistant", "assistant"))
        ),
        pytest.param({"role": "tool", "tool_call_id": "c1", "content": [PART], "status": "ok", "id": "x",
                      "tool_calls": [], "annotations": [{}]}, ChatMessage("tool", "Hello", None, (), "c1"), id="tool"),
    ],
)  # fmt: skip
def test_message_fields_that_cannot_change_the_answer_are_ignored_in_each_role(message, expected):
    assert parse_chat(messages=[message]).conversation() == [expected]


def test_empty_arguments_of_a_call_are_no_arguments():
    for function in ({"name": "f", "arguments": ""}, {"name": "f"}, {"name": "f", "arguments": None}):
        asked = parse_chat(messages=[{"role": "assistant", "tool_calls": [{**CALL, "function": function}]}])
        assert asked.conversation()[0].tool_calls == (ToolCall("c1", "f", {}),)


def test_a_continued_message_is_rendered_without_a_generation_prompt():
    turns = [HELLO, {"role": "assistant", "content": "Once upon"}]
    asked = parse_chat(messages=turns, continue_final_message=True, add_generation_prompt=False)
    assert asked.template_variables(frozenset()) == {"continue_final_message": True, "add_generation_prompt": False}
    assert parse_chat(messages=turns).template_variables(frozenset()) == {}
    for fields, param in (
        ({"add_generation_prompt": True}, "add_generation_prompt"),
        ({"response_format": {"type": "json_object"}}, "continue_final_message"),
        ({"messages": [HELLO, CALLING]}, "continue_final_message"),
    ):
        found = refusal(parse_chat, **{"messages": turns, "continue_final_message": True, **fields})
        assert found == (400, param, "invalid_value")


def test_messages_reach_the_template_as_plain_turns():
    asked = parse_chat(
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ada"},
            {"role": "assistant", "content": "c", "refusal": None, "tool_calls": []},
        ]
    )
    assert asked.conversation() == [
        ChatMessage("system", "Be kind."), ChatMessage("user", "ab", "Ada"), ChatMessage("assistant", "c"),
    ]  # fmt: skip


def test_calls_and_their_answers_reach_the_template_as_objects():
    asked = parse_chat(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
        ]
    )
    assert asked.conversation() == [
        ChatMessage("assistant", "", None, (ToolCall("c1", "find_order", {"id": 7}),)),
        ChatMessage("tool", "on its way", None, (), "c1"),
    ]


@pytest.mark.parametrize("arguments", [" ", "7", "{", '{"a":' * 50], ids=str)
def test_arguments_that_are_no_object_are_refused(arguments):
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    asked = parse_chat(messages=[{"role": "assistant", "tool_calls": [call]}])
    with pytest.raises(ApiError) as caught:
        asked.conversation()
    assert (caught.value.status, caught.value.param) == (400, "messages.0.tool_calls.0.function.arguments")
