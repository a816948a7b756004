"""Templates get what they have a place for; tokens come back as the bytes that they stand for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models

from chatscale_server.engine.protocol import ChatMessage, PromptError, ToolCall
from chatscale_server.engine.token_bytes import token_bytes_of
from chatscale_server.engine.tokenizer import Tokenizer
from tests.unit.chatscale_server.tiny_models import END, a_tokenizer

QWEN_LIKE = (
    "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<tool_call>{{ call.function.arguments | tojson }}</tool_call>{% endfor %}"
    "{% endfor %}"
)
TOOL = {"type": "function", "function": {"name": "find"}}
HELLO = ChatMessage("user", "hi")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    a_tokenizer().save_pretrained(path)
    return path


def test_a_template_with_a_place_for_tools_gets_them(folder):
    tokenizer = Tokenizer(folder, QWEN_LIKE)
    call = ToolCall("c1", "find", {"id": "ü"})
    turns = [HELLO, ChatMessage("assistant", "", None, (call,)), ChatMessage("tool", "sent", None, (), "c1")]
    assert tokenizer.takes_tools
    assert tokenizer.decode(tokenizer.encode_chat(turns, [TOOL])) == (
        f"<tools>{json.dumps(TOOL)}</tools>[user]hi[assistant]"
        '<tool_call>{"id": "ü"}</tool_call>[tool]sent'
    )  # fmt: skip
    assert tokenizer.decode(tokenizer.encode_chat([HELLO])) == "[user]hi"


@pytest.mark.parametrize(
    ("template", "takes"),
    [
        pytest.param(None, False, id="plain"),
        pytest.param("<tool_call> The tools of {{ messages[0].content }}", False, id="only-the-word"),
        pytest.param("<tool_call>{% set tools = 1 %}{{ tools }}", False, id="a-variable-of-its-own"),
        pytest.param("{{ tools }}", False, id="another-form-of-calls"),
        pytest.param("{{ tools }}<tool_call><function=name>", False, id="xml-calls"),
        pytest.param("<tool_call>{% for t in tools %}{% if t %}{% break %}{% endif %}{% endfor %}", True, id="loop"),
        pytest.param("<tool_call>{% generation %}{{ tools }}{% endgeneration %}", True, id="tags-of-transformers"),
    ],
)
def test_whether_a_template_takes_tools_is_read_from_it(folder, template, takes):
    assert Tokenizer(folder, template).takes_tools is takes


def test_calls_between_special_tokens_would_not_be_seen(tmp_path):
    wrapper = a_tokenizer()
    wrapper.add_special_tokens({"additional_special_tokens": ["<tool_call>"]})
    wrapper.save_pretrained(tmp_path)
    assert not Tokenizer(tmp_path, QWEN_LIKE).takes_tools


def test_of_several_templates_the_one_for_tools_gets_them(tmp_path):
    wrapper = a_tokenizer()
    wrapper.chat_template = {"default": "plain", "tool_use": "<tool_call> {{ tools | length }}"}
    wrapper.save_pretrained(tmp_path)
    tokenizer = Tokenizer(tmp_path, None)
    assert tokenizer.takes_tools
    assert tokenizer.decode(tokenizer.encode_chat([HELLO], [TOOL])) == "<tool_call> 1"
    assert tokenizer.decode(tokenizer.encode_chat([HELLO])) == "plain"


def test_a_template_that_refuses_tools_says_why(folder):
    strict = Tokenizer(folder, "{% if tools %}{{ raise_exception('one tool only') }}{% endif %}ok")
    with pytest.raises(PromptError, match="one tool only"):
        strict.encode_chat([HELLO], [TOOL])


@given(text=st.text(max_size=30))
def test_the_bytes_of_all_tokens_are_the_text(text):
    inner = a_tokenizer().backend_tokenizer
    token_bytes = token_bytes_of(inner)
    assert b"".join(token_bytes(token) for token in inner.encode(text).ids) == text.encode()
    assert (token_bytes(END), token_bytes(5000)) == (b"<end>", b"")


def test_bytes_of_other_vocabularies():
    spelt = Inner(models.BPE({"\u2581the": 0, "<0xE2>": 1, "x": 2}, merges=[]))
    spelt.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert [token_bytes_of(spelt)(token) for token in range(3)] == [b" the", b"\xe2", b"x"]
    words = Inner(models.WordLevel({"hello": 0}, unk_token="hello"))
    assert token_bytes_of(words)(0) == b"hello"
