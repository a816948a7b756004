"""A family that cannot be served correctly is refused with exit code 65 and its name, before its weights are read."""

import json
from pathlib import Path

import pytest

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.checkpoint import ENCODERS, read_config, task_of
from chatscale_server.engine.encoding import Task
from chatscale_server.engine.loading import plan_load
from chatscale_server.errors import StartupError
from chatscale_server.settings import Dtype, Settings
from tests.unit.chatscale_server.tiny_models import save_model


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("llama"))


def a_checkpoint(llama: Path, folder: Path, **config: object) -> Path:
    """A folder with real weights and a tokenizer, and this configuration."""
    for path in llama.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(StartupError) as caught:
        plan_load(folder, Settings(model_uri=f"file://{folder}", served_name="m", dtype=Dtype.FLOAT32))
    assert caught.value.code == ExitCode.MODEL_UNSUPPORTED
    return str(caught.value).removeprefix(f"model {folder}: ")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"model_type": "openai-gpt"}, "the family openai-gpt is not served: OpenAIGPTLMHeadModel takes no "
                     "KV cache", id="no-cache"),
        pytest.param({"model_type": "jamba"}, "jamba has layers without a plain KV cache", id="jamba"),
        pytest.param({"model_type": "roformer"}, "the family roformer is not served: encoders are served of",
                     id="encoder-with-a-decoder"),
        pytest.param({"model_type": "t5"}, "t5 is an encoder-decoder model", id="t5"),
        pytest.param({"model_type": "bart"}, "bart is an encoder-decoder model", id="bart"),
        pytest.param({"model_type": "bert"}, "bert is an encoder for embeddings, and generates no text", id="bert"),
        pytest.param({"model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"]},
                     "xlm-roberta is an encoder for classification", id="classifier"),
        pytest.param({"model_type": "bert", "architectures": ["BertForTokenClassification"]},
                     "BertForTokenClassification is not served", id="tagger"),
        pytest.param({"model_type": "bert", "is_decoder": True}, "bert as a decoder (is_decoder) is not served",
                     id="bert-decoder"),
        pytest.param({"model_type": "deberta-v2"}, "the family deberta-v2 is not served: encoders are served of",
                     id="other-encoder"),
        pytest.param({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]},
                     "LlamaForSequenceClassification has no output head for text; classifiers are served of",
                     id="decoder-classifier"),
        pytest.param({"model_type": "mamba"}, "mamba has layers without a plain KV cache", id="mamba"),
    ],
)  # fmt: skip
def test_a_family_that_is_not_served_is_refused_by_its_name(llama, tmp_path, config, message):
    assert refusal(a_checkpoint(llama, tmp_path, **config)).startswith(message)


def test_an_embedding_model_of_a_decoder_family_is_not_served_as_a_chat_model(llama, tmp_path):
    folder = a_checkpoint(llama, tmp_path, model_type="qwen3", architectures=["Qwen3ForCausalLM"])
    (folder / "modules.json").write_text("[]")
    assert refusal(folder).startswith("it is an embedding model (modules.json) of the family qwen3; embeddings are")


@pytest.mark.parametrize("family", ["openai-gpt", "rwkv", "xlnet"])
def test_a_refusal_does_not_quote_transformers(llama, tmp_path, family):
    message = refusal(a_checkpoint(llama, tmp_path, model_type=family))
    assert "attn_implementation" not in message
    assert "http" not in message


@pytest.mark.parametrize("family", sorted(ENCODERS))
@pytest.mark.parametrize(
    ("architecture", "task"),
    [("Model", Task.EMBED), ("ForMaskedLM", Task.EMBED), ("ForSequenceClassification", Task.CLASSIFY)],
)
def test_the_architecture_of_an_encoder_selects_its_task(llama, tmp_path, family, architecture, task):
    folder = a_checkpoint(llama, tmp_path, model_type=family, architectures=[f"Any{architecture}"])
    assert task_of(folder, read_config(folder, trust_remote_code=False)) is task
