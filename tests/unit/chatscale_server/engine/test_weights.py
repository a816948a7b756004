"""A checkpoint whose tensors do not match its configuration is refused with exit code 65 and the names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.loading import load_model, plan_load
from chatscale_server.engine.weight_files import read_weight_files
from chatscale_server.errors import StartupError
from chatscale_server.settings import Dtype, Settings
from tests.unit.chatscale_server.tiny_models import FAMILIES, a_network, a_tokenizer, save_model

Tensors = dict[str, torch.Tensor]
INDEX = "model.safetensors.index.json"
LAYERS = {"llama": "num_hidden_layers", "qwen2": "num_hidden_layers", "qwen3": "num_hidden_layers", "gpt2": "n_layer"}
FORMATS = ("one file", "shards", "pickle")


def load(folder: Path) -> None:
    settings = Settings(
        model_uri=f"file://{folder}", served_name="m", max_concurrency=1, dtype=Dtype.FLOAT32,
        allow_pickled_weights=True,
    )  # fmt: skip
    load_model(plan_load(folder, settings))


def refusal(folder: Path) -> str:
    with pytest.raises(StartupError) as caught:
        load(folder)
    assert caught.value.code == ExitCode.MODEL_UNSUPPORTED
    return str(caught.value)


def configured(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def saved(family: str, folder: Path, change: Callable[[Tensors], object], form: str = "one file") -> Path:
    """The family's tiny model with changed tensors, as one file, as three shards or as a pickle."""
    save_model(family, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    (folder / "model.safetensors").unlink()
    match form:
        case "one file":
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        case "shards":
            save_shards(folder, tensors)
        case _:
            torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def save_shards(folder: Path, tensors: Tensors) -> None:
    names, placed = sorted(tensors), {}
    for at in range(3):
        shard = f"model-{at + 1:05}-of-00003.safetensors"
        placed |= dict.fromkeys(names[at::3], shard)
        save_file({name: tensors[name] for name in names[at::3]}, folder / shard, metadata={"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": placed}))


def nothing(_tensors: Tensors) -> None:
    """Change nothing."""


def a_matrix(tensors: Tensors) -> str:
    """The name of a weight matrix in the first layer."""
    return next(name for name in sorted(tensors) if ".0." in name and tensors[name].dim() == 2)


def drop(tensors: Tensors) -> str:
    name = a_matrix(tensors)
    del tensors[name]
    return name


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_complete_checkpoint_loads(tmp_path, family, form):
    load(saved(family, tmp_path, nothing, form))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_tensor_is_refused_by_its_name(tmp_path, family, form):
    names: list[str] = []
    folder = saved(family, tmp_path, lambda tensors: names.append(drop(tensors)), form)
    assert f"1 tensor missing from the files: {names[0]}" in refusal(folder)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_tensor_of_another_shape_is_refused_with_both_shapes(tmp_path, family, form):
    def resize(tensors: Tensors) -> None:
        tensors[a_matrix(tensors)] = torch.zeros(7, 9)

    message = refusal(saved(family, tmp_path, resize, form))
    assert "wrong shapes: " in message
    assert " has [7, 9], expected [32, " in message or " has [7, 9], expected [64, " in message


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_a_weight_without_its_scale_is_refused_with_its_format(tmp_path, family, form, dtype):
    def quantise(tensors: Tensors) -> None:
        name = a_matrix(tensors)
        tensors[name] = tensors[name].to(dtype)

    message = refusal(saved(family, tmp_path, quantise, form))
    assert "not in a floating-point format: " in message


@pytest.mark.parametrize("family", FAMILIES)
def test_more_layers_in_the_configuration_than_in_the_file_are_refused(tmp_path, family):
    configured(save_model(family, tmp_path), **{LAYERS[family]: 3, "layer_types": None})
    message = refusal(tmp_path)
    assert "missing from the files: " in message
    assert ".2." in message


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_layers_in_the_configuration_than_in_the_file_are_refused(tmp_path, family):
    configured(save_model(family, tmp_path), **{LAYERS[family]: 1, "layer_types": None})
    message = refusal(tmp_path)
    assert "not used by " in message
    assert ".1." in message


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_without_an_output_head_is_refused(tmp_path, family):
    def classify(tensors: Tensors) -> None:
        tensors.pop("lm_head.weight", None)
        tensors["score.weight"] = torch.zeros(2, 32)

    assert "score.weight" in refusal(saved(family, tmp_path, classify))


def test_tied_weights_need_no_tensor_of_their_own(tmp_path):
    configured(save_model("qwen2", tmp_path), tie_word_embeddings=True)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    load(tmp_path)


@pytest.mark.parametrize(
    ("family", "name", "tensor"),
    [
        pytest.param("gpt2", "transformer.h.0.attn.bias", torch.ones(1, 1, 8, 8, dtype=torch.uint8), id="mask"),
        pytest.param("gpt2", "transformer.h.0.attn.masked_bias", torch.tensor(-1e4), id="masked-value"),
        pytest.param("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", torch.ones(4), id="frequencies"),
    ],
)
def test_constants_that_old_versions_saved_are_not_weights(tmp_path, family, name, tensor):
    load(saved(family, tmp_path, lambda tensors: tensors.update({name: tensor})))


def test_a_bias_is_no_mask(tmp_path):
    bias = {"model.layers.0.attn.bias": torch.zeros(32)}
    message = refusal(saved("llama", tmp_path, lambda tensors: tensors.update(bias)))
    assert "1 tensor not used by LlamaForCausalLM: model.layers.0.attn.bias" in message


def test_a_missing_expert_is_refused_by_its_name(tmp_path):
    def lose_an_expert(tensors: Tensors) -> None:
        del tensors[next(name for name in sorted(tensors) if "experts.0." in name)]

    message = refusal(saved("phimoe-longrope", tmp_path, lose_an_expert))
    assert "incomplete in the files: model.layers.0" in message


def test_a_long_list_of_names_is_cut_in_the_message_and_whole_in_the_log(tmp_path, caplog):
    configured(save_model("llama", tmp_path), num_hidden_layers=12)
    assert " and 84 more" in refusal(tmp_path)
    (record,) = [record for record in caplog.records if record.message == "weights do not match"]
    assert len(record.missing) == 90


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def indexed(folder: Path, **more: str) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"].update(more)
    (folder / INDEX).write_text(json.dumps(index))


def repeated(folder: Path) -> None:
    """Save a tensor of one shard in another shard too."""
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    home = index["model.norm.weight"]
    other = next(shard for shard in sorted(index.values()) if shard != home)
    tensors = {**load_file(folder / other), "model.norm.weight": torch.ones(32)}
    save_file(tensors, folder / other, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: (f / "model-00002-of-00003.safetensors").unlink(),
                     "names files that do not exist: model-00002-of-00003.safetensors", id="missing-shard"),
        pytest.param(lambda f: cut(f / "model-00002-of-00003.safetensors"), "not a complete safetensors file",
                     id="cut-shard"),
        pytest.param(lambda f: (f / INDEX).unlink(), "neither model.safetensors nor model.safetensors.index.json",
                     id="no-index"),
        pytest.param(lambda f: (f / INDEX).write_text("{"), "index.json cannot be read", id="broken-index"),
        pytest.param(lambda f: (f / INDEX).write_text("[]"), "index.json cannot be read", id="no-map"),
        pytest.param(lambda f: (f / INDEX).write_text('{"weight_map": {}}'), "must give a file name", id="empty-map"),
        pytest.param(lambda f: indexed(f, **{"model.norm.weight": "../m.safetensors"}), "files outside the folder",
                     id="outside"),
        pytest.param(lambda f: indexed(f, **{"model.ghost.weight": "model-00001-of-00003.safetensors"}),
                     "names tensors that are not in model-00001-of-00003.safetensors: model.ghost.weight", id="ghost"),
        pytest.param(repeated, "tensors are in more than one file: model.norm.weight", id="twice"),
    ],
)  # fmt: skip
def test_shards_that_do_not_belong_together_are_refused(tmp_path, spoil, message):
    spoil(saved("llama", tmp_path, nothing, "shards"))
    assert message in refusal(tmp_path)


def test_files_that_are_not_loaded_are_not_counted(tmp_path):
    folder = save_model("llama", tmp_path)
    expected = read_weight_files(folder, allow_pickled=False).parameters
    (folder / "consolidated.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert read_weight_files(folder, allow_pickled=False).parameters == expected
    assert expected == sum(weight.numel() for weight in a_network("llama").state_dict().values())


def test_weights_of_another_family_are_refused(tmp_path):
    a_network("gpt2").save_pretrained(tmp_path)
    config = a_network("llama").config
    config.save_pretrained(tmp_path)
    a_tokenizer().save_pretrained(tmp_path)
    message = refusal(tmp_path)
    assert "missing from the files" in message
    assert "not used by LlamaForCausalLM" in message
