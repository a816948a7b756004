"""Load a model that the slot engine can run, or say in one sentence why not.

Order matters: configuration, family and size are checked before weights are read. After loading, a
short self-check compares the slot cache with a plain forward pass, so a family that would be served
wrongly is refused instead.
"""

import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.beams import BEAM_CACHES, BEAM_TOKENS
from chatscale_server.engine.decode_graphs import DecodeGraphs, Record, cuda_recorder
from chatscale_server.engine.linears import LAYOUT_ROWS, pack_linears, watch_siblings
from chatscale_server.engine.model import CacheShape, SlotCache, SlotModel
from chatscale_server.engine.prefill_cost import PrefillCost
from chatscale_server.engine.request import Request
from chatscale_server.engine.scheduler import Chunk, Sequence
from chatscale_server.engine.weights import check_fit, count_parameters, pickled_files
from chatscale_server.errors import StartupError
from chatscale_server.settings import Device, Dtype, Settings

log = logging.getLogger(__name__)

BFLOAT16_GAIN: Final = 1.3
"""How much faster bfloat16 must be on a CPU to be chosen: below that, exact repeatability is worth more."""
PROBE_TOKENS: Final = 24
PROBE_CHUNK: Final = 10
PREFILL_PROBES: Final = (32, 160)
"""Prompt tokens."""
CUDA_TOKENS_PER_STEP: Final = 2048
GRAPH_GAIN: Final = 1.05
"""How much faster decode graphs must be to be kept: they take memory, and compute more rows and columns."""
GRAPH_PROBES: Final = 5
_FAILURES: Final = (MemoryError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""What a model that does not work here, or has no room, may raise; torch's own errors are RuntimeErrors."""
_NO_MEMORY: Final = ("can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory")
"""As torch and the kernel word it where there is no exception type of its own."""
_TOLERANCE: Final = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""Of the largest logit. Half formats round differently with the shape of a batch."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What was found out about the model without loading it."""

    folder: Path
    config: Any
    device: torch.device
    dtype: torch.dtype
    shape: CacheShape
    max_model_len: int
    pickled: bool = False
    """The weights are in torch's own format."""
    trust_remote_code: bool = False


def plan_load(folder: Path, settings: Settings) -> LoadPlan:
    """Check family, context length and size. Raises StartupError."""
    pickled = pickled_files(folder) if settings.allow_pickled_weights and not any(folder.glob("*.safetensors")) else []
    parameters = _count_pickled(pickled) if pickled else count_parameters(folder)
    config = _read_config(folder, trust_remote_code=settings.trust_remote_code)
    max_model_len = _context_length(config, settings.max_model_len)
    _check_family(folder, config, max_model_len)
    device = _pick_device(settings.device)
    dtype = pick_dtype(settings.dtype, device)
    heads = config.num_attention_heads
    shape = CacheShape(
        layers=config.num_hidden_layers,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )
    available = _available_bytes(device, settings.memory_limit_bytes)
    if available is not None:
        check_fit(
            weight_bytes=parameters * dtype.itemsize,
            kv_bytes=(settings.max_concurrency * max_model_len + _beam_tokens(settings)) * shape.token_bytes(dtype),
            available_bytes=available,
            what=settings.model_uri,
            where="the GPU's free memory" if device.type == "cuda" else "the memory limit",
        )
    return LoadPlan(
        folder, config, device, dtype, shape, max_model_len,
        pickled=bool(pickled), trust_remote_code=settings.trust_remote_code,
    )  # fmt: skip


def _beam_tokens(settings: Settings) -> int:
    """What one beam search may hold beside the slots."""
    return BEAM_CACHES * BEAM_TOKENS if settings.max_beams > 1 else 0


def load_model(plan: LoadPlan, slots: int) -> SlotModel:
    """Read the weights and allocate the cache. Raises StartupError."""
    try:
        network: Any = AutoModelForCausalLM.from_pretrained(
            plan.folder, config=plan.config, dtype=plan.dtype, attn_implementation="sdpa",
            use_safetensors=not plan.pickled, trust_remote_code=plan.trust_remote_code, local_files_only=True,
        )  # fmt: skip
        network.to(plan.device).eval()
        cache = SlotCache(plan.shape, slots, plan.max_model_len, dtype=plan.dtype, device=plan.device)
    except (OSError, ImportError, *_FAILURES) as error:
        raise _failed(plan.folder, "loading failed", error) from error
    if "logits_to_keep" not in inspect.signature(network.forward).parameters:
        raise _unsupported(plan.folder, f"{type(network).__name__} is not a causal language model of the usual kind")
    return SlotModel(network, cache, slots, plan.device, plan.dtype)


def end_tokens(plan: LoadPlan, tokenizer_end: int | None) -> frozenset[int]:
    """Every token that ends an answer: generation settings, configuration and tokenizer."""
    try:
        generation: Any = GenerationConfig.from_pretrained(plan.folder, local_files_only=True).eos_token_id
    except OSError:
        generation = None
    found: set[int] = set()
    for value in (generation, plan.config.eos_token_id, tokenizer_end):
        found.update(value if isinstance(value, list) else [value] if value is not None else [])
    return frozenset(found)


def warm_up(model: SlotModel, plan: LoadPlan, pack: Callable[..., int] = pack_linears) -> SlotModel:
    """Check the model, then make it faster where its answers stay the same. Raises StartupError."""
    with watch_siblings(model.network) as siblings:
        ids, expected = _expect(model, plan)
    packs, problem = plan.device.type == "cpu" and model.slots > 1, ""
    if packs:
        try:
            pack(model.network, min(model.slots, LAYOUT_ROWS), siblings)
            _check(model, plan, ids, expected)
        except (StartupError, *_FAILURES) as error:
            problem = str(error)
    siblings.clear()
    if problem:
        # Memory was counted for one: nothing may hold the first, not even the error's frames.
        slots, model.network = model.slots, None
        model = load_model(plan, slots)
        log.warning("weights stay as they are", extra={"reason": problem})
    if problem or not packs:
        # Whether it was the packing or the model itself is seen without packing.
        _check(model, plan, ids, expected)
    if plan.device.type == "cuda":
        record_decodes(model, plan, cuda_recorder())
    return model


def record_decodes(model: SlotModel, plan: LoadPlan, record: Record) -> None:
    """Decode by graphs if they answer alike and clearly faster here; whatever fails, the model goes on without."""
    try:
        without_s = _decode_seconds(model)
        model.graphs = DecodeGraphs(
            model.compute, model.slots, plan.max_model_len, plan.config.vocab_size, plan.device, record
        )
        _check(model, plan, *_expect(model, plan))
        gain = without_s / _decode_seconds(model)
        reason = model.graphs.failure or ("" if gain >= GRAPH_GAIN else "no faster")
        log.info("decode graphs", extra={"used": not reason, "times_as_fast": round(gain, 2), "reason": reason})
    except (StartupError, *_FAILURES) as error:
        reason = str(error)
        log.warning("decode graphs", extra={"used": False, "reason": reason})
    if reason:
        model.graphs = None


def _decode_seconds(model: SlotModel) -> float:
    """The best of several steps that decode in all slots."""
    times = []
    for _ in range(GRAPH_PROBES):
        began = time.perf_counter()
        model.decode(range(model.slots), [1] * model.slots, [1] * model.slots).argmax(dim=-1).tolist()
        times.append(time.perf_counter() - began)
    return min(times)


def _expect(model: SlotModel, plan: LoadPlan) -> tuple[list[int], torch.Tensor]:
    """Some prompt, and the logits (vocab,) after it of a plain forward pass. Raises StartupError."""
    ids = [(7 * at + 3) % plan.config.vocab_size for at in range(min(PROBE_TOKENS, plan.max_model_len))]
    try:
        with torch.inference_mode():
            return ids, model.network(torch.tensor([ids], device=plan.device), use_cache=False).logits[0, -1].float()
    except _FAILURES as error:
        raise _failed(plan.folder, "the warm-up failed", error) from error


def _check(model: SlotModel, plan: LoadPlan, ids: list[int], expected: torch.Tensor) -> None:
    """Compare a chunked prefill and a decode with a plain forward pass. Raises StartupError(MODEL_UNSUPPORTED)."""
    last = len(ids) - 1
    try:
        probe = Sequence(Request(id="probe", prompt=tuple(ids), max_tokens=1), slot=0)
        model.prefill([Chunk(probe, 0, PROBE_CHUNK)])
        model.prefill([Chunk(probe, PROBE_CHUNK, last - 1)])
        # Twice, so that a graph is not only recorded but also repeated with other inputs.
        model.decode([0], [ids[-2]], [last - 1])
        found = model.decode([0], [ids[-1]], [last])[0]
        model.decode(range(model.slots), [ids[-1]] * model.slots, [last] * model.slots)
    except _FAILURES as error:
        raise _failed(plan.folder, "the warm-up failed", error) from error
    difference, scale = float((found - expected).abs().max()), float(expected.abs().max())
    if not difference <= _TOLERANCE[plan.dtype] * max(scale, 1e-6):
        raise _unsupported(
            plan.folder, f"its slot cache does not reproduce a plain forward pass (logits differ by {difference:.3g} "
            f"of {scale:.3g})",
        )  # fmt: skip


def measure_prefill(model: SlotModel, plan: LoadPlan) -> PrefillCost:
    """What a pass over prompt tokens takes on this machine, by the best of two short ones and of two long ones."""
    few, many = (min(count, plan.max_model_len - 1) for count in PREFILL_PROBES)
    # In turns: neighbours on the machine disturb both alike.
    times = [(_prefill_seconds(model, few), _prefill_seconds(model, many)) for _ in range(2)]
    few_s, many_s = map(min, zip(*times, strict=True))
    return PrefillCost.of_probes((few, few_s), (many, many_s))


def _prefill_seconds(model: SlotModel, count: int) -> float:
    probe = Sequence(Request(id="probe", prompt=tuple([1] * count), max_tokens=1), slot=0)
    began = time.perf_counter()
    model.prefill([Chunk(probe, 0, count)])
    return time.perf_counter() - began


def pick_dtype(asked: Dtype, device: torch.device) -> torch.dtype:
    """What was asked for; `auto` is bfloat16 where the device is made for it, as found out in a tenth of a second."""
    if asked is not Dtype.AUTO:
        named: torch.dtype = getattr(torch, asked)
        return named
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    faster = _matmul_seconds(torch.float32) > BFLOAT16_GAIN * _matmul_seconds(torch.bfloat16)
    return torch.bfloat16 if faster else torch.float32


def _matmul_seconds(dtype: torch.dtype) -> float:
    """The best of several runs of a small batch through a layer of usual size."""
    inputs, weight = torch.ones(16, 1024, dtype=dtype), torch.ones(4096, 1024, dtype=dtype)
    times = []
    with torch.inference_mode():
        for _ in range(8):
            began = time.perf_counter()
            torch.nn.functional.linear(inputs, weight)
            times.append(time.perf_counter() - began)
    return min(times)


def _count_pickled(files: list[Path]) -> int:
    """Numbers in the tensors of these files, whose bytes are not read."""
    try:
        shapes = [torch.load(file, map_location="meta", mmap=True, weights_only=True) for file in files]
        return sum(tensor.numel() for tensors in shapes for tensor in tensors.values())
    except Exception as error:  # an unpickler can raise anything
        raise StartupError(
            ExitCode.MODEL_UNSUPPORTED, f"model {files[0].parent}: its pickled weights cannot be read: {error}"
        ) from error


def _read_config(folder: Path, *, trust_remote_code: bool) -> Any:
    try:
        config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except Exception as error:  # a configuration from outside can raise anything
        if not trust_remote_code and "trust_remote_code" in str(error):
            reason = f"it brings code of its own; set {Env.TRUST_REMOTE_CODE}=true to run it, if you trust its author"
            raise _unsupported(folder, reason) from error
        raise _unsupported(folder, f"its configuration cannot be read: {error}") from error
    return config.get_text_config()


def _context_length(config: Any, asked: int | None) -> int:
    limit: int | None = getattr(config, "max_position_embeddings", None)
    if limit is None:
        raise StartupError(ExitCode.MODEL_UNSUPPORTED, "the model's configuration states no max_position_embeddings")
    if asked is not None and asked > limit:
        raise StartupError(
            ExitCode.BAD_SETTINGS, f"{Env.MAX_MODEL_LEN} must be within the model's {limit} tokens, found {asked}"
        )
    return asked or limit


def _check_family(folder: Path, config: Any, max_model_len: int) -> None:
    """Refuse what a plain cache of keys and values cannot represent."""
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise _unsupported(folder, f"{kind} is an encoder-decoder model; only decoder-only models are served")
    if getattr(config, "quantization_config", None) is not None:
        raise _unsupported(folder, "its weights are quantised; convert them to dense safetensors")
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    if unknown := layers - {"full_attention", "sliding_attention"}:
        raise _unsupported(folder, f"{kind} has layers of kind {', '.join(sorted(unknown))}, which keep no plain cache")
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in layers or (getattr(config, "layer_types", None) is None and _uses_window(config))
    if window is not None and slides and window < max_model_len:
        raise _unsupported(
            folder,
            f"{kind} attends within a sliding window of {window} tokens, shorter than the context of {max_model_len}; "
            f"set spec.server.maxModelLen to {window} or less",
        )
    missing = [name for name in ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
               if getattr(config, name, None) is None]  # fmt: skip
    if missing:
        raise _unsupported(folder, f"the configuration of {kind} has no {', '.join(missing)}")


def _uses_window(config: Any) -> bool:
    return bool(getattr(config, "use_sliding_window", True))


def _pick_device(asked: Device) -> torch.device:
    if asked is Device.CUDA and not torch.cuda.is_available():
        raise StartupError(ExitCode.BAD_SETTINGS, f"{Env.DEVICE} is cuda, and torch finds no usable GPU")
    return torch.device(str(asked))


def _available_bytes(device: torch.device, limit: int | None) -> int | None:
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info()[0]
        return free
    return limit


def _failed(folder: Path, what: str, error: Exception) -> StartupError:
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        return StartupError(
            ExitCode.MODEL_TOO_LARGE,
            f"model {folder}: {what}, out of memory: give it more, or lower spec.server.maxConcurrency or "
            f"spec.server.maxModelLen ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})",
        )
    return _unsupported(folder, f"{what}: {error}")


def _unsupported(folder: Path, why: str) -> StartupError:
    return StartupError(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: {why}")
