"""Templates get what they support; tokens become text and bytes without loss."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat
from chatscale_server.engine.detokenize import BytesDecoder
from chatscale_server.engine.protocol import ChatMessage, PromptError, ToolCall
from chatscale_server.engine.tokenizer import (
    MAX_HELD_TOKENS,
    StreamDecoder,
    Tokenizer,
    stripped_spaces,
    token_bytes_of,
)
from tests.unit.chatscale_server.templates import (
    CHATML,
    DEEPSEEK_R1,
    HARMONY,
    LLAMA3,
    MAGISTRAL,
    MISTRAL,
    QWEN3,
    QWEN3_CODER,
    a_tokenizer_with_marks,
)
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


def test_a_template_that_supports_tools_gets_them(folder):
    tokenizer = Tokenizer(folder, QWEN_LIKE)
    call = ToolCall("c1", "find", {"id": "ü"})
    turns = [HELLO, ChatMessage("assistant", "", None, (call,)), ChatMessage("tool", "sent", None, (), "c1")]
    assert tokenizer.tool_format is ToolFormat.HERMES
    assert tokenizer.decode(tokenizer.encode_chat(turns, [TOOL])) == (
        f"<tools>{json.dumps(TOOL)}</tools>[user]hi[assistant]"
        '<tool_call>{"id": "ü"}</tool_call>[tool]sent'
    )  # fmt: skip
    assert tokenizer.decode(tokenizer.encode_chat([HELLO])) == "[user]hi"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param(None, (ToolFormat.NONE, ReasoningFormat.NONE), id="plain"),
        pytest.param("<tool_call> The tools of {{ messages[0].content }}", (ToolFormat.NONE, ReasoningFormat.NONE),
                     id="only-the-word"),
        pytest.param("<tool_call>{% set tools = 1 %}{{ tools }}", (ToolFormat.NONE, ReasoningFormat.NONE),
                     id="a-variable-of-its-own"),
        pytest.param("{{ tools }}", (ToolFormat.NONE, ReasoningFormat.NONE), id="another-form-of-calls"),
        pytest.param("{{ tools }}<tool_call><arg_key>", (ToolFormat.NONE, ReasoningFormat.NONE), id="glm"),
        pytest.param("<tool_call>{% for t in tools %}{% if t %}{% break %}{% endif %}{% endfor %}",
                     (ToolFormat.HERMES, ReasoningFormat.NONE), id="loop"),
        pytest.param("<tool_call>{% generation %}{{ tools }}{% endgeneration %}",
                     (ToolFormat.HERMES, ReasoningFormat.NONE), id="tags-of-transformers"),
        pytest.param(CHATML, (ToolFormat.HERMES, ReasoningFormat.NONE), id="chatml"),
        pytest.param(QWEN3, (ToolFormat.HERMES, ReasoningFormat.THINK), id="qwen3"),
        pytest.param(QWEN3_CODER, (ToolFormat.QWEN3_CODER, ReasoningFormat.NONE), id="qwen3-coder"),
        pytest.param(DEEPSEEK_R1, (ToolFormat.NONE, ReasoningFormat.THINK), id="deepseek-r1"),
        pytest.param(LLAMA3, (ToolFormat.LLAMA3, ReasoningFormat.NONE), id="llama3"),
        pytest.param(MISTRAL, (ToolFormat.MISTRAL, ReasoningFormat.NONE), id="mistral"),
        pytest.param(MAGISTRAL, (ToolFormat.MISTRAL, ReasoningFormat.MISTRAL), id="magistral"),
        pytest.param(HARMONY, (ToolFormat.HARMONY, ReasoningFormat.HARMONY), id="harmony"),
    ],
)  # fmt: skip
def test_the_formats_of_a_model_are_read_from_its_template(folder, template, expected):
    tokenizer = Tokenizer(folder, template)
    assert (tokenizer.tool_format, tokenizer.reasoning_format) == expected


def test_settings_replace_the_formats_of_the_template(folder):
    tokenizer = Tokenizer(folder, HARMONY, tool_format=ToolFormat.NONE, reasoning_format=ReasoningFormat.THINK)
    assert (tokenizer.tool_format, tokenizer.reasoning_format) == (ToolFormat.NONE, ReasoningFormat.THINK)


def test_marks_between_special_tokens_are_text_where_they_are_parsed(tmp_path):
    a_tokenizer_with_marks().save_pretrained(tmp_path)
    tokenizer = Tokenizer(tmp_path, MISTRAL)
    tokens = tokenizer.encode("[TOOL_CALLS]f[ARGS]{}<|eos|>")
    plain, parsed = tokenizer.decoder(), tokenizer.decoder(marks=True)
    assert "".join(map(plain.push, tokens)) == "f{}"
    assert "".join(map(parsed.push, tokens)) == "[TOOL_CALLS]f[ARGS]{}"


def test_of_several_templates_the_one_for_tools_gets_them(tmp_path):
    wrapper = a_tokenizer()
    wrapper.chat_template = {"default": "plain", "tool_use": "<tool_call> {{ tools | length }}"}
    wrapper.save_pretrained(tmp_path)
    tokenizer = Tokenizer(tmp_path, None)
    assert tokenizer.tool_format is ToolFormat.HERMES
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


BYTE_LEVEL = a_tokenizer().backend_tokenizer
BYTE_TOKENS = {token_bytes_of(BYTE_LEVEL)(token): token for token in range(256)}


def a_sentencepiece_tokenizer() -> Inner:
    """Words with a leading space, and one token for each byte of other characters."""
    vocabulary = {"\u2581the": 0, "x": 1, "\u2581": 2} | {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    inner = Inner(models.BPE(vocabulary, merges=[]))
    strip = decoders.Strip(" ", 1, 0)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), strip]
    )
    return inner


SENTENCEPIECE = a_sentencepiece_tokenizer()


def byte_tokens(data: bytes) -> list[int]:
    return [BYTE_TOKENS[bytes([byte])] for byte in data]


def decoder_of(inner: Inner) -> BytesDecoder:
    stripped = stripped_spaces(inner)
    assert stripped is not None
    return BytesDecoder(token_bytes_of(inner), stripped)


@given(text=st.text(max_size=40) | st.text("a\ufffd", max_size=6))
def test_characters_that_are_split_into_bytes_come_out_whole_and_in_order(text):
    decoder = decoder_of(BYTE_LEVEL)
    pieces = [decoder.push(token) for token in byte_tokens(text.encode())]
    assert ("".join(pieces), decoder.flush()) == (text, "")


OTHER_CHARACTERS = st.characters(min_codepoint=0x80, codec="utf-8")


@given(parts=st.lists(st.sampled_from(["the", "x", " ", "\ufffd"]) | OTHER_CHARACTERS, max_size=20))
def test_incremental_text_of_a_sentencepiece_tokenizer_is_the_text_of_the_whole_sequence(parts):
    words = {"the": [0], "x": [1], " ": [2]}
    tokens = [token for part in parts for token in words.get(part) or [3 + byte for byte in part.encode()]]
    decoder = decoder_of(SENTENCEPIECE)
    pieces = [decoder.push(token) for token in tokens]
    assert "".join(pieces) + decoder.flush() == SENTENCEPIECE.decode(tokens)


def test_an_incomplete_character_at_the_end_is_dropped():
    decoder = decoder_of(BYTE_LEVEL)
    assert [decoder.push(token) for token in byte_tokens("a€".encode()[:-1])] == ["a", "", ""]
    assert decoder.flush() == ""


def test_complete_characters_of_a_token_are_sent_if_it_ends_with_an_incomplete_one():
    inner = Inner(models.BPE({"x\u00e2": 0}, merges=[]))  # byte-level spelling of b"x\xe2"
    inner.decoder = decoders.ByteLevel()
    decoder = decoder_of(inner)
    assert (decoder.push(0), decoder.flush()) == ("x", "")


@given(data=st.binary(max_size=60))
def test_invalid_bytes_neither_fail_nor_hold_up_what_follows(data):
    decoder = decoder_of(BYTE_LEVEL)
    text = "".join(decoder.push(token) for token in byte_tokens(data + b"abc"))
    assert text == (data + b"abc").decode(errors="replace")


def test_a_tokenizer_without_exact_bytes_is_decoded_by_the_library(tmp_path):
    inner = Inner(models.WordLevel({"hello": 0, "you": 1}, unk_token="hello"))
    inner.decoder = decoders.WordPiece()
    assert stripped_spaces(inner) is None
    decoder = StreamDecoder(inner)
    assert decoder.push(0) + decoder.push(1) + decoder.flush() == "hello you"


@pytest.mark.parametrize("token", [pytest.param(END, id="special"), pytest.param(BYTE_TOKENS[b"\xff"], id="invalid")])
def test_a_long_run_of_tokens_without_text_is_not_decoded_again_in_each_step(token):
    decoder, held = StreamDecoder(BYTE_LEVEL), []
    answer = []
    for one in [*byte_tokens(b"a"), *[token] * 200, *byte_tokens(b"b"), *[token] * 3, *byte_tokens(b"c")]:
        answer.append(decoder.push(one))
        held.append(len(decoder._held) + len(decoder._context))
    assert ("".join(answer) + decoder.flush()).replace("\ufffd", "") == "abc"
    assert max(held) <= 2 * MAX_HELD_TOKENS + 2


@pytest.mark.parametrize("setting", ["truncation", "padding"])
def test_a_prompt_is_neither_cut_nor_filled_by_a_tokenizer_file_that_says_so(folder, tmp_path, setting):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stored = json.loads((tmp_path / "tokenizer.json").read_text())
    stored["truncation"] = {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    if setting == "padding":
        stored["truncation"] = None
        stored["padding"] = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": END,
                             "pad_type_id": 0, "pad_token": "<end>"}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    tokenizer, text = Tokenizer(tmp_path, "{{ messages[0]['content'] }}"), "0123456789<end>x"
    assert len(tokenizer.encode(text)) == 12
    assert len(tokenizer.encode_chat([ChatMessage("user", "0123456789")])) == 10
    assert len(tokenizer.encode_chat([ChatMessage("user", text)])) == len(text)
