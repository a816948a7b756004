"""A model or settings that cannot be served are refused with the reason."""

import json
from pathlib import Path

import httpx
import huggingface_hub
import pytest

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.engine.weights import find_model
from chatscale_server.errors import StartupError
from tests.unit.chatscale_server.engine.engine_runs import SETTINGS, loaded
from tests.unit.chatscale_server.tiny_models import save_model


def test_a_model_that_cannot_fit_is_refused_with_the_sum(models):
    with pytest.raises(StartupError, match=r"needs 0\.49 GiB \(0\.00 GiB weights, 0\.00 GiB KV cache") as caught:
        loaded(models("llama"), memory_limit_bytes=2**20)
    assert caught.value.code == ExitCode.MODEL_TOO_LARGE


def damaged(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def configured(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        pytest.param(damaged, ExitCode.MODEL_UNSUPPORTED, "not a complete safetensors file", id="cut-short"),
        pytest.param(lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), ExitCode.MODEL_UNSUPPORTED,
                     r"no \*.safetensors files", id="pickle"),
        pytest.param(lambda f: (f / "config.json").unlink(), ExitCode.MODEL_NOT_FOUND, "has no config.json",
                     id="no-config"),
        pytest.param(lambda f: configured(f, model_type="martian"), ExitCode.MODEL_UNSUPPORTED,
                     "configuration cannot be read", id="unknown-family"),
        pytest.param(lambda f: configured(f, model_type="mamba"), ExitCode.MODEL_UNSUPPORTED,
                     "layers without a plain KV cache", id="no-attention"),
        pytest.param(lambda f: configured(f, model_type="bart"), ExitCode.MODEL_UNSUPPORTED,
                     "bart is an encoder-decoder model", id="encoder-decoder"),
        pytest.param(lambda f: configured(f, quantization_config={"quant_method": "gptq", "bits": 4}),
                     ExitCode.MODEL_UNSUPPORTED, "quantised", id="quantised"),
        pytest.param(lambda f: (f / "tokenizer.json").write_text("{}"), ExitCode.MODEL_UNSUPPORTED,
                     "tokenizer cannot be loaded", id="tokenizer"),
    ],
)  # fmt: skip
def test_rejects_an_unusable_model_with_the_reason(tmp_path, spoil, code, message):
    spoil(save_model("llama", tmp_path))
    with pytest.raises(StartupError, match=message) as caught:
        loaded(tmp_path)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        pytest.param({"max_model_len": 4096}, ExitCode.BAD_SETTINGS, "within the model's 128 tokens", id="context"),
        pytest.param({"model_uri": "file:///nowhere"}, ExitCode.MODEL_NOT_FOUND, "no folder /nowhere", id="file"),
        pytest.param({"model_uri": "pvc://claim/m"}, ExitCode.MODEL_NOT_FOUND, "no folder /models/claim/m", id="pvc"),
        pytest.param({"model_uri": "pvc://claim/../m"}, ExitCode.MODEL_NOT_FOUND, "must not contain", id="escape"),
        pytest.param({"model_uri": "hf://not a name"}, ExitCode.MODEL_NOT_FOUND, "not a repository name", id="hub"),
    ],
)
def test_refuses_impossible_settings(models, changes, code, message):
    folder = models("llama")
    engine = TransformersEngine(SETTINGS.model_copy(update={"model_uri": f"file://{folder}", **changes}))
    with pytest.raises(StartupError, match=message) as caught:
        engine.load(lambda _name, _seconds: None)
    assert caught.value.code == code


def test_a_hub_behind_a_broken_proxy_is_a_model_not_found(monkeypatch):
    def fail(*_args: object, **_options: object):
        raise httpx.ProxyError("503 from the proxy")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(StartupError, match=r"model hf://owner/name: the hub cannot be reached: 503 from") as caught:
        find_model("hf://owner/name", None)
    assert caught.value.code == ExitCode.MODEL_NOT_FOUND
