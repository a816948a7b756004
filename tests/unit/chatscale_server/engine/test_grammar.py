"""A constrained answer always parses and fits its schema; a hostile schema costs little."""

import json
import time
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer, models

from chatscale_server.engine.grammar import Grammars, grammars_for
from chatscale_server.engine.output_form import (
    Chain,
    Fixed,
    Form,
    FreeText,
    Json,
    OneOf,
    Plain,
    Regex,
    Repeat,
    TextUntil,
    Triggered,
)
from chatscale_server.engine.protocol import SchemaError
from chatscale_server.engine.request import Constraint, Request, Sampling
from chatscale_server.engine.slot_sampler import SlotSampler
from tests.unit.chatscale_server import templates
from tests.unit.chatscale_server.tiny_models import END, a_tokenizer

VOCABULARY = 260
"""A few more than the tokenizer has, as models do."""


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=8)
    count: int = Field(ge=0, le=99)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: list[Item] = Field(min_length=1, max_length=3)
    paid: bool


ORDER = json.dumps(Order.model_json_schema())


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(a_tokenizer().backend_tokenizer, VOCABULARY, {END})


def generated(constraint: Constraint, logits: torch.Tensor, sampling: Sampling, max_tokens: int) -> tuple[str, bool]:
    """What the sampler makes of random logits, and whether it ended by itself."""
    sampler = SlotSampler(1, torch.device("cpu"))
    sampler.start(0, Request(id="r", prompt=(1,), max_tokens=9, sampling=sampling, constraint=constraint))
    tokens = []
    for step in range(max_tokens):
        token = sampler.choose(logits[step % len(logits)][None], [0])[0]
        assert constraint.problem is None
        if token == END:
            return a_tokenizer().backend_tokenizer.decode(tokens), True
        tokens.append(token)
    return a_tokenizer().backend_tokenizer.decode(tokens), False


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.0, 0.7, 2.0]), top_k=st.sampled_from([0, 1, 5]))
@settings(max_examples=20)
def test_random_logits_write_sound_orders(grammars, seed, temperature, top_k):
    logits = torch.randn(50, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
    rule = Sampling(temperature=temperature, top_k=top_k, seed=seed)
    text, ended = generated(grammars.constraint(Json(ORDER)), logits, rule, 400)
    assert ended
    assert 1 <= len(Order.model_validate_json(text).items) <= 3


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_a_json_object_is_one_as_soon_as_it_ends(grammars, seed):
    logits = torch.randn(50, VOCABULARY, generator=torch.Generator().manual_seed(seed))
    logits[:, [ord("}") - 33, ord('"') - 33]] += 4  # byte-level tokens: objects and strings end before long
    text, ended = generated(grammars.constraint(Json('{"type": "object"}')), logits, Sampling(seed=seed), 400)
    if ended:
        assert isinstance(json.loads(text), dict)
    else:
        assert text.startswith("{")


def test_a_tokenizer_whose_bytes_are_not_known_has_no_grammars():
    words = Tokenizer(models.WordLevel({"hello": 0, "<end>": 1}, unk_token="hello"))
    assert grammars_for(words, 2, {1}) is None
    assert grammars_for(a_tokenizer().backend_tokenizer, VOCABULARY, set()) is None
    assert grammars_for(a_tokenizer().backend_tokenizer, VOCABULARY, {END}) is not None


def test_each_answer_has_its_own_place_in_the_grammar(grammars):
    first, second = grammars.constraint(Json(ORDER)), grammars.constraint(Json(ORDER))
    [start] = [token for token, allowed in enumerate(first.allowed()) if allowed]
    first.accept(start)
    assert first.allowed() != second.allowed()
    assert [token for token, allowed in enumerate(second.allowed()) if allowed] == [start]


def test_a_token_that_is_not_allowed_is_a_problem_that_stays(grammars):
    constraint = grammars.constraint(Json(ORDER))
    constraint.accept(END)
    assert constraint.problem is not None
    assert constraint.allowed() == b""


def test_the_end_is_allowed_only_when_the_object_is_whole(grammars):
    constraint = grammars.constraint(Json('{"type": "object", "properties": {}, "additionalProperties": false}'))
    allowed = []
    for token in a_tokenizer().backend_tokenizer.encode("{}").ids:
        allowed.append(bool(constraint.allowed()[END]))
        constraint.accept(token)
    assert [*allowed, bool(constraint.allowed()[END])] == [False, False, True]


def test_prefix_and_suffix_of_a_schema_are_enforced_too(grammars):
    constraint = grammars.constraint(Chain((Fixed('say "'), Json('{"const": 7}'), Fixed('"\n'))))
    text, ended = generated(constraint, torch.randn(9, VOCABULARY), Sampling(temperature=0.0), 20)
    assert (text, ended) == ('say "7"\n', True)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        pytest.param({"type": "strin"}, "Invalid type", id="type"),
        pytest.param({"not": {"type": "string"}}, "not", id="keyword-it-cannot-hold-to"),
        pytest.param({"$ref": "https://example.com/schema"}, "not fetch", id="remote"),
        pytest.param({"$ref": "file:///etc/passwd"}, "not fetch", id="file"),
        pytest.param({"enum": []}, "Unsatisfiable", id="nothing-fits"),
        pytest.param({"not": {}, "x-guidance": {"lenient": True}}, "not", id="lenient-by-the-back-door"),
        pytest.param({"type": "string", "pattern": "(" * 50}, ".", id="pattern"),
        pytest.param({"allOf": [{"$ref": "#"}]}, "no output can match", id="endless"),
        pytest.param([], ".", id="no-object"),
        pytest.param({"type": "x" * 30_000}, r"^Invalid type: x{1,300}$", id="a-type-without-end"),
        pytest.param({"uniqueItems": True}, "^Unimplemented keys", id="a-rule-that-it-does-not-know"),
    ],
)
def test_an_unsupported_schema_is_rejected_quickly(grammars, schema, message):
    began_s = time.process_time()
    with pytest.raises(SchemaError, match=message):
        grammars.constraint(Json(json.dumps(schema)))
    assert time.process_time() - began_s < 5


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "string", "pattern": "(a|b|ab)*c{1,500}"}, id="pattern"),
        pytest.param({"type": "string", "pattern": "((a{1,999}){1,999}){1,999}"}, id="huge-pattern"),
        pytest.param({"type": "array", "items": {"type": "string"}, "minItems": 100_000}, id="many-items"),
        pytest.param({"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}},
                      "$ref": "#/$defs/n"}, id="recursive"),
        pytest.param({"type": "object", "properties": {f"p{at}": {"type": "string", "format": "email"}
                                                       for at in range(400)}}, id="many-properties"),
        pytest.param({"anyOf": [{"type": "string", "pattern": f"a*b{at}"} for at in range(300)]}, id="many-branches"),
    ],
)  # fmt: skip
def test_a_large_schema_is_compiled_or_refused_in_bounded_time(grammars, schema):
    began_s = time.process_time()
    with suppress(SchemaError):
        constraint = grammars.constraint(Json(json.dumps(schema)))
        for _ in range(20):
            mask = constraint.allowed()
            if constraint.problem is not None:
                break
            constraint.accept(next(token for token, allowed in enumerate(mask) if allowed))
    assert time.process_time() - began_s < 5


MARKED = templates.a_tokenizer_with_marks().backend_tokenizer


@pytest.fixture(scope="module")
def marked() -> Grammars:
    """With the control tokens of several families."""
    return Grammars(MARKED, templates.VOCABULARY, {END})


def follows(constraint: Constraint, text: str, *, spelt: bool = False) -> bool:
    """True if the text is a complete output. spelt: control tokens are written letter by letter."""
    inner = a_tokenizer().backend_tokenizer if spelt else MARKED
    for token in inner.encode(text, add_special_tokens=False).ids:
        mask = constraint.allowed()
        if not mask or not mask[token]:
            return False
        constraint.accept(token)
    return bool(constraint.allowed()[END])


CALL = Triggered("<tool_call>", Chain((Plain("\n"), Json('{"type": "integer"}'), Fixed("\n</tool_call>"))))
CHOICE = OneOf((Plain("yes"), Plain("no </think>")))
HEADED = Triggered("[TOOL_CALLS]", Chain((Plain("f"), Fixed("[ARGS]"), Json('{"const": {}}'))), once=True)
THOUGHT = Chain((TextUntil("</think>"), Regex("[ \\n]{0,2}"), Regex("a+/b?")))
STEPS = Chain((Repeat(Chain((Fixed("<|start|>"), TextUntil("<|end|>")))), Fixed("<|message|>"), FreeText()))


@pytest.mark.parametrize(
    ("form", "text", "complete"),
    [
        pytest.param(CALL, "", True, id="no-text"),
        pytest.param(CALL, "any <text> with [marks]", True, id="no-call"),
        pytest.param(
            CALL, "<think>a</think>b<tool_call>\n12\n</tool_call> c <tool_call>\n3\n</tool_call>", True, id="calls"
        ),
        pytest.param(CALL, "a <tool_call>\nb", False, id="call-without-its-form"),
        pytest.param(CALL, "a <tool_call>", False, id="call-begun"),
        pytest.param(CALL, "a <tool_call>\n12", False, id="call-cut"),
        pytest.param(HEADED, "so [TOOL_CALLS]f[ARGS]{}", True, id="special-marks"),
        pytest.param(HEADED, "so [TOOL_CALLS]g", False, id="other-function"),
        pytest.param(HEADED, "so [TOOL_CALLS]f[ARGS]{} more", False, id="text-after-the-only-call"),
        pytest.param(CHOICE, "yes", True, id="choice"),
        pytest.param(CHOICE, "no", False, id="choice-cut"),
        pytest.param(THOUGHT, "hm <b></think>\n\naa/b", True, id="regex-after-reasoning"),
        pytest.param(THOUGHT, "aa/b", False, id="no-end-of-the-reasoning"),
        pytest.param(STEPS, "<|start|>a b<|end|><|start|><|end|><|message|>text", True, id="steps"),
        pytest.param(STEPS, "<|message|>text<|start|>", False, id="control-token-in-free-text"),
    ],
)
def test_a_form_allows_its_outputs_and_no_others(marked, form: Form, text, complete):
    assert follows(marked.constraint(form), text) is complete


@pytest.mark.parametrize(
    ("form", "text", "complete"),
    [
        (CALL, "a <tool_call>\n12\n</tool_call>", True),
        (CALL, "a <tool_call>\nb", False),
        (HEADED, "so [TOOL_CALLS]g", False),
    ],
)
def test_marks_that_are_written_letter_by_letter_begin_a_call_too(marked, form, text, complete):
    assert follows(marked.constraint(form), text, spelt=True) is complete


@pytest.mark.parametrize("pattern", ["a/b", 'x"\n', "start: /", "[/]", "a|b"])
def test_a_pattern_cannot_leave_its_rule(grammars, pattern):
    assert follows(grammars.constraint(Regex(pattern)), pattern.strip("[]").partition("|")[0])
    assert not follows(grammars.constraint(Regex(pattern)), "other")


def test_an_invalid_pattern_is_rejected(grammars):
    with pytest.raises(SchemaError):
        grammars.constraint(Regex("(a"))
