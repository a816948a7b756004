"""Reads the headers of a checkpoint's weight files and checks that the files belong together. Loads no tensor data.

transformers reads `model.safetensors`, or else the shards that an index names. It takes the last of two tensors with
one name, and it converts integers to floating point without their scale. Both give wrong output without an error, so
both are refused here.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError

WHOLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
PICKLED_WHOLE: Final = "pytorch_model.bin"
PICKLED_INDEX: Final = "pytorch_model.bin.index.json"
MAX_NAMES: Final = 6
"""Names in one message. The log line has all of them."""


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """Shape and number format of a tensor in a file."""

    shape: tuple[int, ...]
    dtype: str
    """As safetensors names it: F32, BF16, I8."""

    @property
    def floating(self) -> bool:
        """True for the formats that hold a weight without a scale of their own."""
        return self.dtype in {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The tensors that transformers will load."""

    tensors: Mapping[str, TensorHeader]
    pickled: bool
    """True if the files are in torch's pickle format."""

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_weight_files(folder: Path, *, allow_pickled: bool) -> WeightFiles:
    """Headers of all files that belong to the checkpoint. Raises StartupError(MODEL_UNSUPPORTED)."""
    if any(folder.glob("*.safetensors")) or (folder / INDEX).exists():
        return WeightFiles(_read_all(folder, WHOLE, INDEX, pickled=False), pickled=False)
    if not pickled_files(folder) and any(folder.glob("*.gguf")):
        raise _refused(folder, "the weights are in GGUF, which is not supported: convert them to dense safetensors")
    if not pickled_files(folder):
        raise _refused(folder, "no *.safetensors files; other formats are not supported")
    if not allow_pickled:
        reason = (
            "no *.safetensors files, only pickled weights, which can execute code: convert them, or set "
            f"{Env.ALLOW_PICKLED_WEIGHTS}=true if you trust their author"
        )
        raise _refused(folder, reason)
    return WeightFiles(_read_all(folder, PICKLED_WHOLE, PICKLED_INDEX, pickled=True), pickled=True)


def pickled_files(folder: Path) -> list[Path]:
    """Weight files in the format of `torch.save`."""
    return sorted(folder.glob("pytorch_model*.bin"))


def listed(names: list[str]) -> str:
    """A few names for a message, and the number of the others."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _read_all(folder: Path, whole: str, index: str, *, pickled: bool) -> dict[str, TensorHeader]:
    read = _read_pickled if pickled else _read_safetensors
    if (folder / whole).exists():
        return read(folder / whole)
    if not (folder / index).exists():
        found = listed(sorted(path.name for path in folder.glob("*.bin" if pickled else "*.safetensors")))
        raise _refused(folder, f"there is neither {whole} nor {index}; found {found}")
    placed = _read_index(folder, index)
    shards = sorted(set(placed.values()))
    if absent := [shard for shard in shards if not (folder / shard).is_file()]:
        raise _refused(folder, f"{index} names files that do not exist: {listed(absent)}")
    tensors: dict[str, TensorHeader] = {}
    for shard in shards:
        held = read(folder / shard)
        if twice := sorted(tensors.keys() & held.keys()):
            raise _refused(folder, f"tensors are in more than one file: {listed(twice)}")
        if lost := sorted(name for name, place in placed.items() if place == shard and name not in held):
            raise _refused(folder, f"{index} names tensors that are not in {shard}: {listed(lost)}")
        tensors |= held
    return tensors


def _read_index(folder: Path, index: str) -> dict[str, str]:
    """File name by tensor name."""
    try:
        placed: Any = json.loads((folder / index).read_text())["weight_map"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _refused(folder, f"{index} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(placed, dict) or not placed or not all(isinstance(shard, str) for shard in placed.values()):
        raise _refused(folder, f"{index}: weight_map must give a file name for each tensor")
    if outside := sorted({shard for shard in placed.values() if Path(shard).name != shard}):
        raise _refused(folder, f"{index} names files outside the folder: {listed(outside)}")
    return placed


def _read_safetensors(file: Path) -> dict[str, TensorHeader]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - not a mapping
            return {name: TensorHeader(tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()}
    except (OSError, SafetensorError) as error:
        raise StartupError(
            ExitCode.MODEL_UNSUPPORTED, f"model file {file}: not a complete safetensors file: {error}"
        ) from error


def _read_pickled(file: Path) -> dict[str, TensorHeader]:
    import torch

    names = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    try:
        tensors = torch.load(file, map_location="meta", mmap=True, weights_only=True)
        return {
            name: TensorHeader(tuple(tensor.shape), names.get(tensor.dtype, str(tensor.dtype)))
            for name, tensor in tensors.items()
        }
    except Exception as error:  # an unpickler can raise any error
        raise _refused(file.parent, f"the pickled weights cannot be read: {error}") from error


def _refused(folder: Path, why: str) -> StartupError:
    return StartupError(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: {why}")
