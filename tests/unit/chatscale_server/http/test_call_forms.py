"""A constrained call follows its schema in every format, and text without calls stays free."""

import pytest

from chatscale_contract.server.environment import ToolFormat
from chatscale_server.engine.grammar import Grammars
from chatscale_server.http.tool_calls.forms import possible_calls, required_call
from tests.unit.chatscale_server import templates
from tests.unit.chatscale_server.tiny_models import END

SCHEMA = {
    "type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}}, "required": ["id"],
    "additionalProperties": False,
}  # fmt: skip
FUNCTIONS = [("find", SCHEMA), ("stop", {"type": "object", "properties": {}, "additionalProperties": False})]
MARKED = templates.a_tokenizer_with_marks().backend_tokenizer
CALLS = {
    ToolFormat.HERMES: '<tool_call>\n{{"name": "find", "arguments": {{"id": {}}}}}\n</tool_call>',
    ToolFormat.LLAMA3: '{{"name": "find", "parameters": {{"id": {}}}}}',
    ToolFormat.MISTRAL: '[TOOL_CALLS][{{"name": "find", "arguments": {{"id": {}}}}}]',
    ToolFormat.QWEN3_CODER: "<tool_call>\n<function=find>\n<parameter=id>\n{}\n</parameter>\n</function>\n</tool_call>",
    ToolFormat.HARMONY: '<|channel|>commentary to=functions.find <|constrain|>json<|message|>{{"id": {}}}',
}
TEXTS = dict.fromkeys(CALLS, "Hello.") | {ToolFormat.HARMONY: "<|channel|>final<|message|>Hello."}


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(MARKED, templates.VOCABULARY, {END})


def follows(grammars: Grammars, form, text: str) -> bool:
    constraint = grammars.constraint(form)
    for token in MARKED.encode(text, add_special_tokens=False).ids:
        mask = constraint.allowed()
        if not mask or not mask[token]:
            return False
        constraint.accept(token)
    return bool(constraint.allowed()[END])


@pytest.mark.parametrize("kind", CALLS)
def test_calls_follow_their_schema_in_every_format(grammars, kind):
    required = required_call(kind, FUNCTIONS)
    assert follows(grammars, required, CALLS[kind].format("7"))
    assert not follows(grammars, required, CALLS[kind].format('"x"'))
    assert not follows(grammars, required, TEXTS[kind])
    for once in (False, True):
        possible = possible_calls(kind, FUNCTIONS, once=once)
        assert follows(grammars, possible, CALLS[kind].format("7"))
        assert not follows(grammars, possible, CALLS[kind].format('"x"'))
        assert follows(grammars, possible, TEXTS[kind])


def test_a_name_before_the_arguments_is_a_call_of_mistral_too(grammars):
    form = possible_calls(ToolFormat.MISTRAL, FUNCTIONS, once=False)
    assert follows(grammars, form, 'So.[TOOL_CALLS]find[ARGS]{"id": 7}[TOOL_CALLS]stop[ARGS]{}')
    assert not follows(grammars, form, "[TOOL_CALLS]other[ARGS]{}")


def test_harmony_reasons_before_a_call(grammars):
    form = required_call(ToolFormat.HARMONY, FUNCTIONS)
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    assert follows(grammars, form, thought + CALLS[ToolFormat.HARMONY].format("7"))
