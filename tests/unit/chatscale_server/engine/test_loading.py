"""Where weights come from, and what is never run unless it was asked for by name."""

import json
import logging
from pathlib import Path

import huggingface_hub
import pytest
import torch
from transformers import LlamaForCausalLM

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.slots import MAX_SLOTS
from chatscale_server.engine.loading import LoadPlan, plan_load
from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.scheduler import Chunk, Sequence, StepPlan
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.engine.weight_files import read_weight_files
from chatscale_server.engine.weights import PROCESS_BYTES, find_model
from chatscale_server.errors import StartupError
from chatscale_server.metrics import STARTUP_PHASES
from chatscale_server.settings import Dtype, Settings
from tests.unit.chatscale_server.tiny_models import save_model

CODE = """
from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM

Path({marker!r}).touch()


class OwnConfig(LlamaConfig):
    model_type = "own"


class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


def load(folder: Path, **changes: object) -> tuple[TransformersEngine, list[str]]:
    """The engine, and the phases of its start."""
    settings = Settings(
        model_uri=f"file://{folder}", served_name="m", max_concurrency=1, dtype=Dtype.FLOAT32, **changes
    )  # fmt: skip
    engine, phases = TransformersEngine(settings), []
    engine.load(lambda name, seconds: phases.append(name) if seconds >= 0 else None)
    return engine, phases


def first_token(engine: TransformersEngine) -> int:
    sequence = Sequence(Request(id="r", prompt=(1, 2, 3), max_tokens=1, sampling=Sampling(temperature=0.0)), slot=0)
    plan = StepPlan(started=(sequence,), chunks=(Chunk(sequence, 0, 3),))
    engine.prepare(plan)
    return engine.step(plan)[0]


def pickle_weights(folder: Path) -> Path:
    """Turn a model's safetensors into the older format."""
    network = LlamaForCausalLM.from_pretrained(folder)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def with_own_code(folder: Path, marker: Path) -> Path:
    """Give a model Python files that leave a mark when they are run."""
    (folder / "own.py").write_text(CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": classes}))
    return folder


def test_every_phase_of_a_start_is_timed(tmp_path):
    _engine, phases = load(save_model("llama", tmp_path))
    assert tuple(phases) == STARTUP_PHASES


def test_pickled_weights_are_refused_by_the_name_of_their_setting(tmp_path):
    folder = pickle_weights(save_model("llama", tmp_path))
    with pytest.raises(StartupError, match="or set CHATSCALE_ALLOW_PICKLED_WEIGHTS=true if you trust") as caught:
        load(folder)
    assert caught.value.code == ExitCode.MODEL_UNSUPPORTED


def test_pickled_weights_that_were_allowed_say_the_same_as_safetensors(tmp_path):
    folder = save_model("llama", tmp_path)
    expected = first_token(load(folder)[0])
    engine, _phases = load(pickle_weights(folder), allow_pickled_weights=True)
    assert first_token(engine) == expected


def test_allowed_or_not_a_pickle_that_is_a_program_is_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Program:
        def __reduce__(self):
            return Path.touch, (marker,)

    folder = save_model("llama", tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Program()}, folder / "pytorch_model.bin")
    with pytest.raises(StartupError, match="pickled weights cannot be read") as caught:
        load(folder, allow_pickled_weights=True)
    assert (caught.value.code, marker.exists()) == (ExitCode.MODEL_UNSUPPORTED, False)


def test_safetensors_are_taken_where_there_are_both(tmp_path):
    folder = save_model("llama", tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    load(folder, allow_pickled_weights=True)


def test_code_of_a_model_is_not_run_and_the_refusal_names_the_setting(tmp_path):
    folder = with_own_code(save_model("llama", tmp_path / "model"), tmp_path / "ran")
    with pytest.raises(StartupError, match="set CHATSCALE_TRUST_REMOTE_CODE=true to run it") as caught:
        load(folder)
    assert (caught.value.code, (tmp_path / "ran").exists()) == (ExitCode.MODEL_UNSUPPORTED, False)


def test_code_of_a_model_is_run_when_it_is_asked_for_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = save_model("llama", tmp_path / "model")
    expected = first_token(load(folder)[0])
    engine, _phases = load(with_own_code(folder, tmp_path / "ran"), trust_remote_code=True)
    assert (first_token(engine), (tmp_path / "ran").exists()) == (expected, True)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        pytest.param({}, set(), id="default"),
        pytest.param({"pickled": True}, {"pytorch_model*.bin", "pytorch_model.bin.index.json"}, id="pickled"),
        pytest.param({"code": True}, {"*.py"}, id="code"),
    ],
)
def test_a_download_is_pinned_and_brings_only_what_will_be_read(monkeypatch, tmp_path, caplog, options, more):
    caplog.set_level(logging.INFO)
    asked = {}

    def snapshot(repository, *, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, files=set(allow_patterns))
        return str(tmp_path / "0123abc")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert find_model("hf://owner/name", "v1.0", **options) == tmp_path / "0123abc"
    assert (asked["repository"], asked["revision"]) == ("owner/name", "v1.0")
    assert {name for name in asked["files"] if name.endswith((".bin", ".py", ".bin.index.json"))} == more
    (record,) = [record for record in caplog.records if record.message == "model found"]
    assert (record.revision, record.commit) == ("v1.0", "0123abc")


def a_plan(folder: Path, **changes: object) -> LoadPlan:
    settings = Settings(model_uri=f"file://{folder}", served_name="m", dtype=Dtype.FLOAT32, **changes)
    return plan_load(folder, settings)


def test_without_a_setting_memory_bounds_the_slots(tmp_path):
    folder = save_model("llama", tmp_path)
    spacious = a_plan(folder, max_beams=1, memory_limit_bytes=2**40)
    slot_bytes = spacious.max_model_len * spacious.shape.token_bytes(torch.float32)
    weight_bytes = 4 * read_weight_files(folder, allow_pickled=False).parameters
    tight = a_plan(folder, max_beams=1, memory_limit_bytes=PROCESS_BYTES + weight_bytes + 5 * slot_bytes)
    assert (spacious.slots, spacious.most_slots) == (8, MAX_SLOTS)
    assert (tight.slots, tight.most_slots) == (5, 5)


def test_a_setting_is_the_number_of_slots(tmp_path):
    plan = a_plan(save_model("llama", tmp_path), max_concurrency=3, memory_limit_bytes=2**40)
    assert (plan.slots, plan.most_slots) == (3, 3)


def test_a_server_without_a_setting_serves_with_the_slots_that_it_chose(tmp_path):
    settings = Settings(
        model_uri=f"file://{save_model('llama', tmp_path)}", served_name="m", dtype=Dtype.FLOAT32,
        slo_tpot_milliseconds=60_000,
    )  # fmt: skip
    engine = TransformersEngine(settings)
    info = engine.load(lambda _name, _seconds: None)
    assert info.slots > 8
    assert info.kv_capacity_tokens == info.slots * info.max_model_len
    assert max(info.decode_step_s) == info.slots
    assert first_token(engine) >= 0
