"""A GGUF file that is damaged or incomplete is refused with exit code 65 and one line, before anything is written."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.weight_files import read_weight_files
from chatscale_server.errors import StartupError
from inference_server.convert_gguf import MODEL_UNSUPPORTED, check_complete, convert

WIDTH, INNER = 32, 64
TENSORS = {
    "token_embd.weight": (8, WIDTH), "output_norm.weight": (WIDTH,), "output.weight": (8, WIDTH),
    "blk.0.attn_norm.weight": (WIDTH,), "blk.0.ffn_norm.weight": (WIDTH,), "blk.0.attn_q.weight": (WIDTH, WIDTH),
    "blk.0.attn_k.weight": (WIDTH, WIDTH), "blk.0.attn_v.weight": (WIDTH, WIDTH),
    "blk.0.attn_output.weight": (WIDTH, WIDTH), "blk.0.ffn_gate.weight": (INNER, WIDTH),
    "blk.0.ffn_up.weight": (INNER, WIDTH), "blk.0.ffn_down.weight": (WIDTH, INNER),
}  # fmt: skip


def write(file: Path, *without: str) -> Path:
    """A Llama of one layer."""
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(8)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*"abcdefg", "<end>"])
    writer.add_token_scores([0.0] * 8)
    writer.add_token_types([1] * 7 + [3])
    writer.add_token_merges([])
    writer.add_bos_token_id(7)
    writer.add_eos_token_id(7)
    for name, shape in TENSORS.items():
        if name not in without:
            writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def refusal(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        convert(file, file.parent / "converted")
    assert caught.value.code == MODEL_UNSUPPORTED == ExitCode.MODEL_UNSUPPORTED
    assert not (file.parent / "converted").exists()
    return next(line for line in capsys.readouterr().err.splitlines() if line.startswith(f"model file {file}: "))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _data: b"", id="empty"),
        pytest.param(lambda data: data[:3], id="cut-in-the-magic"),
        pytest.param(lambda data: data[:200], id="cut-in-the-header"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut-in-the-tensors"),
        pytest.param(lambda data: data[:-100], id="last-bytes-missing"),
        pytest.param(lambda data: b"GGML" + data[4:], id="wrong-magic"),
        pytest.param(lambda data: data[:4] + b"\x63" + data[5:], id="unknown-version"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, capsys, damage: Callable[[bytes], bytes]):
    file = write(tmp_path / "model.gguf")
    file.write_bytes(damage(file.read_bytes()))
    assert "not a complete GGUF file: " in refusal(file, capsys)


def test_missing_tensors_are_named(tmp_path, capsys):
    message = refusal(write(tmp_path / "model.gguf", "blk.0.attn_q.weight"), capsys)
    assert "the weights do not match the configuration: " in message
    assert "q_proj.weight" in message


def test_a_conversion_stops_for_tensors_that_do_not_match(tmp_path, capsys):
    complete = {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set(), "error_msgs": []}
    check_complete(tmp_path / "model.gguf", complete)
    with pytest.raises(SystemExit):
        check_complete(tmp_path / "model.gguf", {**complete, "missing_keys": {"lm_head.weight"}})
    assert "do not match the configuration: {'missing_keys': ['lm_head.weight']}" in capsys.readouterr().err


def test_the_server_refuses_a_folder_with_gguf_and_says_what_to_do(tmp_path):
    write(tmp_path / "model.gguf")
    with pytest.raises(
        StartupError, match="in GGUF, which is not supported: convert them to dense safetensors"
    ) as found:
        read_weight_files(tmp_path, allow_pickled=False)
    assert found.value.code == ExitCode.MODEL_UNSUPPORTED
