"""Loads a model that the slot engine can run, or reports in one sentence why it cannot.

Configuration, family and size are checked before the weights are read. After loading, a self-check compares the slot
cache with a plain forward pass, so that a model family with wrong results is rejected.
"""

import inspect
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.slots import MIN_SLOTS, slots_in_memory
from chatscale_server.engine.beams import BEAM_CACHES, BEAM_TOKENS
from chatscale_server.engine.checkpoint import check_family, check_window, read_config, unsupported
from chatscale_server.engine.context_length import context_length
from chatscale_server.engine.decode_graphs import DecodeGraphs, Record, cuda_recorder
from chatscale_server.engine.decode_speed import choose_batch, decode_seconds
from chatscale_server.engine.linears import LAYOUT_ROWS, pack_linears, watch_siblings
from chatscale_server.engine.loaded_weights import load_network
from chatscale_server.engine.model import CacheShape, SlotCache, SlotModel
from chatscale_server.engine.prefill_cost import PrefillCost
from chatscale_server.engine.request import Request
from chatscale_server.engine.scheduler import Chunk, Sequence
from chatscale_server.engine.weight_files import WeightFiles, read_weight_files
from chatscale_server.engine.weights import PROCESS_BYTES, check_fit
from chatscale_server.errors import StartupError
from chatscale_server.settings import Device, Dtype, Settings

log = logging.getLogger(__name__)

BFLOAT16_GAIN: Final = 1.3
"""Minimum speed-up for bfloat16 on a CPU. For less, the reproducibility of float32 is worth more."""
PROBE_TOKENS: Final = 24
PROBE_CHUNK: Final = 10
NEIGHBOUR_COLUMNS: Final = 1024
"""Cache columns of the check with a long neighbour. Enough for the local attention of older models, and fast."""
PREFILL_PROBES: Final = (32, 160)
"""Prompt tokens."""
CUDA_TOKENS_PER_STEP: Final = 2048
CUDA_MEMORY_SHARE: Final = 0.9
"""Of the free GPU memory, for weights and KV cache if the server chooses the slots. The rest is for activations and
decode graphs. vLLM uses the same share."""
GRAPH_GAIN: Final = 1.05
"""Minimum speed-up to keep decode graphs, because they use memory and compute padding."""
GRAPH_PROBES: Final = 5
FAILURES: Final = (MemoryError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""Errors of a model that does not work here or does not fit. torch raises RuntimeError."""
_NO_MEMORY: Final = ("can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory")
"""Messages of torch and the kernel that have no exception type of their own."""
_TOLERANCE: Final = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""Relative to the largest logit. Half formats round differently for different batch shapes."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Properties of the model that are known before the weights are loaded."""

    folder: Path
    weights: WeightFiles
    config: Any
    device: torch.device
    dtype: torch.dtype
    shape: CacheShape
    max_model_len: int
    slots: int
    """Batch slots to load the model with."""
    most_slots: int
    """More do not fit into memory; `slots` if the settings name their number."""
    tpot_s: float
    """Objective for the time per output token."""
    trust_remote_code: bool = False


def plan_load(folder: Path, settings: Settings) -> LoadPlan:
    """Check family, context length and size. Raises StartupError."""
    weights = read_weight_files(folder, allow_pickled=settings.allow_pickled_weights)
    config = read_config(folder, trust_remote_code=settings.trust_remote_code)
    check_family(folder, config)
    max_model_len = context_length(config, settings.max_model_len)
    if settings.max_model_len is None and max_model_len < config.max_position_embeddings:
        log.warning("context limited to the original length", extra={"max_model_len": max_model_len})
    check_window(folder, config, max_model_len)
    device = pick_device(settings.device)
    dtype = pick_dtype(settings.dtype, device)
    heads = config.num_attention_heads
    shape = CacheShape(
        layers=config.num_hidden_layers,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )
    weight_bytes, token_bytes = weights.parameters * dtype.itemsize, shape.token_bytes(dtype)
    available = available_bytes(device, settings.memory_limit_bytes)
    if available is not None:
        check_fit(
            weight_bytes=weight_bytes,
            kv_bytes=((settings.max_concurrency or 1) * max_model_len + _beam_tokens(settings)) * token_bytes,
            available_bytes=available,
            what=settings.model_uri,
            where="the GPU's free memory" if device.type == "cuda" else "the memory limit",
        )
    kv_bytes = _choosable_bytes(device, available) - weight_bytes - PROCESS_BYTES
    most_slots = settings.max_concurrency or max(
        slots_in_memory(kv_bytes // token_bytes - _beam_tokens(settings), max_model_len), 1
    )
    return LoadPlan(
        folder, weights, config, device, dtype, shape, max_model_len,
        slots=settings.max_concurrency or min(MIN_SLOTS, most_slots),
        most_slots=most_slots,
        tpot_s=settings.slo_tpot_milliseconds / 1000,
        trust_remote_code=settings.trust_remote_code,
    )  # fmt: skip


def _beam_tokens(settings: Settings) -> int:
    """KV tokens of one beam search, outside the slots."""
    return BEAM_CACHES * BEAM_TOKENS if settings.max_beams > 1 else 0


def load_model(plan: LoadPlan) -> SlotModel:
    """Read the weights and allocate the cache. Raises StartupError."""
    try:
        network = load_network(
            AutoModelForCausalLM, plan.folder, plan.weights, config=plan.config, dtype=plan.dtype,
            attn_implementation="sdpa", trust_remote_code=plan.trust_remote_code,
        )  # fmt: skip
        network.to(plan.device).eval()
        cache = _new_cache(plan, plan.slots)
    except (OSError, ImportError, *FAILURES) as error:
        raise loading_error(plan.folder, "loading failed", error) from error
    if "logits_to_keep" not in inspect.signature(network.forward).parameters:
        raise unsupported(plan.folder, f"{type(network).__name__} is not a standard causal language model")
    return SlotModel(network, cache, plan.slots, plan.device, plan.dtype)


def _new_cache(plan: LoadPlan, slots: int) -> SlotCache:
    return SlotCache(plan.shape, slots, plan.max_model_len, dtype=plan.dtype, device=plan.device)


def end_tokens(plan: LoadPlan, tokenizer_end: int | None) -> frozenset[int]:
    """All tokens that end an output, from generation settings, configuration and tokenizer."""
    try:
        generation: Any = GenerationConfig.from_pretrained(plan.folder, local_files_only=True).eos_token_id
    except OSError:
        generation = None
    found: set[int] = set()
    for value in (generation, plan.config.eos_token_id, tokenizer_end):
        found.update(value if isinstance(value, list) else [value] if value is not None else [])
    return frozenset(found)


def warm_up(model: SlotModel, plan: LoadPlan, pack: Callable[..., int] = pack_linears) -> SlotModel:
    """Check the model, then optimise it where its results stay the same. Raises StartupError."""
    with watch_siblings(model.network) as siblings:
        ids, expected = _expect(model, plan)
    packs, problem = plan.device.type == "cpu" and model.slots > 1, ""
    if packs:
        try:
            pack(model.network, min(model.slots, LAYOUT_ROWS), siblings)
            _check(model, plan, ids, expected)
        except (StartupError, *FAILURES) as error:
            problem = str(error)
    siblings.clear()
    if problem:
        # There is memory for one model only: nothing may reference the first, not even the frames of the error.
        model.network = None
        model = load_model(plan)
        log.warning("weights not packed", extra={"reason": problem})
    if problem or not packs:
        # Check without packing, to see whether the packing or the model itself failed.
        _check(model, plan, ids, expected)
    if plan.most_slots > plan.slots:
        choose_batch(model, plan.most_slots, plan.tpot_s, partial(_new_cache, plan))
    if plan.device.type == "cuda":
        record_decodes(model, plan, cuda_recorder())
    return model


def record_decodes(model: SlotModel, plan: LoadPlan, record: Record) -> None:
    """Use decode graphs if their results are equal and they are faster. After any failure the model works without."""
    try:
        without_s = decode_seconds(model, model.slots, GRAPH_PROBES)
        model.graphs = DecodeGraphs(
            model.compute, model.slots, plan.max_model_len, plan.config.vocab_size, plan.device, record
        )
        _check(model, plan, *_expect(model, plan))
        gain = without_s / decode_seconds(model, model.slots, GRAPH_PROBES)
        reason = model.graphs.failure or ("" if gain >= GRAPH_GAIN else "not faster")
        log.info("decode graphs", extra={"used": not reason, "times_as_fast": round(gain, 2), "reason": reason})
    except (StartupError, *FAILURES) as error:
        reason = str(error)
        log.warning("decode graphs", extra={"used": False, "reason": reason})
    if reason:
        model.graphs = None


def _expect(model: SlotModel, plan: LoadPlan) -> tuple[list[int], torch.Tensor]:
    """A probe prompt and its logits (vocab,) from a plain forward pass. Raises StartupError."""
    ids = [(7 * at + 3) % plan.config.vocab_size for at in range(min(PROBE_TOKENS, plan.max_model_len))]
    try:
        with torch.inference_mode():
            return ids, model.network(torch.tensor([ids], device=plan.device), use_cache=False).logits[0, -1].float()
    except FAILURES as error:
        raise loading_error(plan.folder, "the warm-up failed", error) from error


def _check(model: SlotModel, plan: LoadPlan, ids: list[int], expected: torch.Tensor) -> None:
    """Compare a chunked prefill and a decode with a plain forward pass, alone and beside a long request.

    Raises StartupError(MODEL_UNSUPPORTED).
    """
    last = len(ids) - 1
    try:
        probe = Sequence(Request(id="probe", prompt=tuple(ids), max_tokens=1), slot=0)
        model.prefill([Chunk(probe, 0, PROBE_CHUNK)])
        model.prefill([Chunk(probe, PROBE_CHUNK, last - 1)])
        # Decode twice, so that a graph is recorded and then replayed with other inputs.
        model.decode([0], [ids[-2]], [last - 1])
        found = model.decode([0], [ids[-1]], [last])[0].clone()
        beside = _decode_beside_long(model, plan, ids[-1], last)
        model.decode(range(model.slots), [ids[-1]] * model.slots, [last] * model.slots)
    except FAILURES as error:
        raise loading_error(plan.folder, "the warm-up failed", error) from error
    _compare(plan, found, expected, "the slot cache does not reproduce a plain forward pass")
    if beside is not None:
        _compare(plan, beside, expected, "a long request changes the output of a short one in the same batch")


def _decode_beside_long(model: SlotModel, plan: LoadPlan, token: int, position: int) -> torch.Tensor | None:
    """Logits (vocab,) of a token in slot 0, decoded together with the last position of the context in slot 1.

    None with a single slot.
    """
    if model.slots == 1:
        return None
    ids = torch.tensor([[token], [token]], device=model.device)
    positions = torch.tensor([[position], [plan.max_model_len - 1]], device=model.device)
    return model.compute(ids, positions, slice(0, 2), min(plan.max_model_len, NEIGHBOUR_COLUMNS))[0]


def _compare(plan: LoadPlan, found: torch.Tensor, expected: torch.Tensor, problem: str) -> None:
    """Raises StartupError(MODEL_UNSUPPORTED) if the logits differ by more than rounding."""
    difference, scale = float((found - expected).abs().max()), float(expected.abs().max())
    if not difference <= _TOLERANCE[plan.dtype] * max(scale, 1e-6):
        raise unsupported(plan.folder, f"{problem} (logits differ by {difference:.3g} of {scale:.3g})")


def measure_prefill(model: SlotModel, plan: LoadPlan) -> PrefillCost:
    """Measure the cost of a prefill on this machine, from the best of two short and of two long passes."""
    few, many = (min(count, plan.max_model_len - 1) for count in PREFILL_PROBES)
    # Alternate them: other load on the machine then affects both equally.
    times = [(_prefill_seconds(model, few), _prefill_seconds(model, many)) for _ in range(2)]
    few_s, many_s = map(min, zip(*times, strict=True))
    return PrefillCost.of_probes((few, few_s), (many, many_s))


def _prefill_seconds(model: SlotModel, count: int) -> float:
    probe = Sequence(Request(id="probe", prompt=tuple([1] * count), max_tokens=1), slot=0)
    began = time.perf_counter()
    model.prefill([Chunk(probe, 0, count)])
    return time.perf_counter() - began


def pick_dtype(requested: Dtype, device: torch.device) -> torch.dtype:
    """The requested format. `auto` selects bfloat16 if the device computes it faster; on a CPU it measures 0.1 s."""
    if requested is not Dtype.AUTO:
        named: torch.dtype = getattr(torch, requested)
        return named
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    faster = _matmul_seconds(torch.float32) > BFLOAT16_GAIN * _matmul_seconds(torch.bfloat16)
    return torch.bfloat16 if faster else torch.float32


def _matmul_seconds(dtype: torch.dtype) -> float:
    """Shortest of several runs of a small batch through a layer of typical size."""
    inputs, weight = torch.ones(16, 1024, dtype=dtype), torch.ones(4096, 1024, dtype=dtype)
    times = []
    with torch.inference_mode():
        for _ in range(8):
            began = time.perf_counter()
            torch.nn.functional.linear(inputs, weight)
            times.append(time.perf_counter() - began)
    return min(times)


def pick_device(requested: Device) -> torch.device:
    """The requested device. Raises StartupError(BAD_SETTINGS) if torch cannot use it."""
    if requested is Device.CUDA and not torch.cuda.is_available():
        raise StartupError(ExitCode.BAD_SETTINGS, f"{Env.DEVICE} is cuda, but torch finds no usable GPU")
    return torch.device(str(requested))


def available_bytes(device: torch.device, limit: int | None) -> int | None:
    """Memory for model and cache: the GPU's free memory, or the limit; None if no limit is known."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info()[0]
        return free
    return limit


def _choosable_bytes(device: torch.device, available: int | None) -> int:
    """Memory that the server may fill if it chooses the slots itself. available: None if no limit is known."""
    if available is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(available * CUDA_MEMORY_SHARE) if device.type == "cuda" else available


def loading_error(folder: Path, what: str, error: Exception) -> StartupError:
    """The error for a model that does not load or compute: MODEL_TOO_LARGE if memory was missing."""
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        return StartupError(
            ExitCode.MODEL_TOO_LARGE,
            f"model {folder}: {what}, out of memory: raise the memory limit, or lower spec.server.maxConcurrency or "
            f"spec.server.maxModelLen ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})",
        )
    return unsupported(folder, f"{what}: {error}")
