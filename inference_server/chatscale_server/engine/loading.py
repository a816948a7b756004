"""Loads a model that the engine can run, or reports in one sentence why it cannot.

Configuration, family and size are checked before the weights are read. `warm_up.py` then checks the results.
"""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.slots import MIN_SLOTS, REQUEST_TOKENS, slots_in_memory
from chatscale_server.engine import network_forward, row_forward
from chatscale_server.engine.beams import BEAM_CACHES, BEAM_TOKENS
from chatscale_server.engine.checkpoint import check_family, has_attention_interface, read_config, unsupported
from chatscale_server.engine.context_length import context_length, positions
from chatscale_server.engine.kv_cache import PAGE_TOKENS, CacheShape, KvCache
from chatscale_server.engine.loaded_weights import load_network
from chatscale_server.engine.model import SlotModel
from chatscale_server.engine.weight_files import WeightFiles, read_weight_files
from chatscale_server.engine.weights import PROCESS_BYTES, check_fit
from chatscale_server.errors import StartupError
from chatscale_server.settings import Device, Dtype, Settings

log = logging.getLogger(__name__)

BFLOAT16_GAIN: Final = 1.3
"""Minimum speed-up for bfloat16 on a CPU. For less, the reproducibility of float32 is worth more."""
CUDA_TOKENS_PER_STEP: Final = 2048
CUDA_BURST_FACTOR: Final = 2
"""See `Scheduler.burst_factor`. A prompt of 4,096 tokens alone is one step instead of two."""
CUDA_MEMORY_SHARE: Final = 0.95
"""Of the free GPU memory. The rest covers fragments that torch's allocator cannot use."""
CUDA_RESERVE_BYTES: Final = 2**30
"""GPU memory for decode graphs, and for libraries that allocate when they are first used. 0.5 GiB were too little: the
server became ready and failed at the first 64 requests (Llama-3.1-8B on an H100)."""
FAILURES: Final = (MemoryError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""Errors of a model that does not work here or does not fit. torch raises RuntimeError."""
_NO_MEMORY: Final = (
    "can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory", "alloc_failed",
    "mha_graph.execute", "cudaerrormemoryallocation", "cublas_status_not_initialized",
)  # fmt: skip
"""Parts of messages of torch, its libraries and the kernel that report a lack of memory by no exception of its own."""


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
    beam_tokens: int = 0
    """KV tokens of a beam search, outside the slots."""
    trust_remote_code: bool = False
    by_row: bool = False
    """See SlotModel."""


def plan_load(folder: Path, settings: Settings) -> LoadPlan:
    """Check family, context length and size. Raises StartupError."""
    weights = read_weight_files(folder, allow_pickled=settings.allow_pickled_weights)
    config = read_config(folder, trust_remote_code=settings.trust_remote_code)
    check_family(folder, config)
    max_model_len = context_length(config, settings.max_model_len)
    if settings.max_model_len is None and max_model_len < (positions(config) or 0):
        log.warning("context limited to the original length", extra={"max_model_len": max_model_len})
    device = pick_device(settings.device)
    dtype = pick_dtype(settings.dtype, device)
    by_row = not has_attention_interface(config)
    shape = _cache_shape(folder, config, by_row=by_row)
    weight_bytes, token_bytes = weights.parameters * dtype.itemsize, shape.token_bytes(dtype)
    # A cache in pages must hold the longest request. Without pages it must hold it once for each slot.
    fewest = 1 if device.type == "cuda" else settings.max_concurrency or 1
    available = available_bytes(device, settings.memory_limit_bytes)
    if available is not None:
        check_fit(
            weight_bytes=weight_bytes,
            kv_bytes=(fewest * max_model_len + _beam_tokens(settings)) * token_bytes,
            available_bytes=available,
            what=settings.model_uri,
            where="the GPU's free memory" if device.type == "cuda" else "the memory limit",
        )
    kv_bytes = _choosable_bytes(device, available) - weight_bytes - PROCESS_BYTES
    most_slots = settings.max_concurrency or max(
        slots_in_memory(
            kv_bytes // token_bytes - _beam_tokens(settings), REQUEST_TOKENS if device.type == "cuda" else max_model_len
        ),
        1,
    )
    return LoadPlan(
        folder, weights, config, device, dtype, shape, max_model_len,
        slots=settings.max_concurrency or min(MIN_SLOTS, most_slots),
        most_slots=most_slots,
        tpot_s=settings.slo_tpot_milliseconds / 1000,
        beam_tokens=_beam_tokens(settings), trust_remote_code=settings.trust_remote_code, by_row=by_row,
    )  # fmt: skip


def _cache_shape(folder: Path, config: Any, *, by_row: bool) -> CacheShape:
    """Raises StartupError(MODEL_UNSUPPORTED) for a family that does not keep keys and values in transformers' cache."""
    if by_row:
        log.info("rows one by one", extra={"family": config.model_type, "reason": "no attention interface"})
        try:
            return row_forward.cache_shape(config)
        except Exception as error:  # the family's code can raise any error for an unusual configuration
            reason = f"the family {config.model_type} is not served: it has no plain KV cache ({error})"
            raise unsupported(folder, reason) from error
    heads = config.num_attention_heads
    return CacheShape(
        layers=config.num_hidden_layers,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )


def _beam_tokens(settings: Settings) -> int:
    """KV tokens of one beam search, outside the slots."""
    return BEAM_CACHES * BEAM_TOKENS if settings.max_beams > 1 else 0


def load_model(plan: LoadPlan) -> SlotModel:
    """Read the weights and allocate the cache. Raises StartupError."""
    try:
        network = load_network(
            AutoModelForCausalLM, plan.folder, plan.weights, config=plan.config, dtype=plan.dtype,
            attn_implementation=None if plan.by_row else network_forward.ATTENTION,
            trust_remote_code=plan.trust_remote_code,
        )  # fmt: skip
        if plan.device.type == "cuda":
            # cuDNN's attention builds a plan for each new length: 40 to 65 ms for each new prompt length on an H100.
            torch.backends.cuda.enable_cudnn_sdp(False)  # noqa: FBT003 - torch's signature
        network.to(plan.device).eval()
        cache = new_cache(plan, plan.slots, probe_pages(plan) if plan.device.type == "cuda" else None)
    except (OSError, ImportError, *FAILURES) as error:
        raise loading_error(plan.folder, "loading failed", error) from error
    if not plan.by_row and not getattr(network, "_supports_attention_backend", False):
        reason = f"{plan.config.model_type} does not use the attention interface of transformers"
        raise unsupported(plan.folder, reason)
    return SlotModel(network, cache, plan.slots, plan.device, plan.dtype, by_row=plan.by_row)


def new_cache(plan: LoadPlan, slots: int, pages: int | None) -> KvCache:
    """An empty cache. pages: None gives each slot memory for the whole context."""
    return KvCache(plan.shape, slots, plan.max_model_len, dtype=plan.dtype, device=plan.device, pages=pages)


def probe_pages(plan: LoadPlan) -> int:
    """Pages for the checks of a start: those of a full step, or of the context if it is shorter."""
    return 2 + CUDA_BURST_FACTOR * -(-min(CUDA_TOKENS_PER_STEP, plan.max_model_len) // PAGE_TOKENS)


def spare_pages(plan: LoadPlan, step_bytes: int) -> int:
    """Pages that fit into the free GPU memory beside a step. Raises StartupError if they hold no whole context.

    step_bytes: memory that the largest step needs for its own results.
    """
    torch.cuda.empty_cache()
    free: int = torch.cuda.mem_get_info()[0]
    token_bytes = plan.shape.token_bytes(plan.dtype)
    usable = int(free * CUDA_MEMORY_SHARE) - step_bytes - CUDA_RESERVE_BYTES - plan.beam_tokens * token_bytes
    pages, needed = usable // (token_bytes * PAGE_TOKENS), -(-plan.max_model_len // PAGE_TOKENS) + 1
    if pages < needed:
        raise StartupError(
            ExitCode.MODEL_TOO_LARGE,
            f"model {plan.folder}: beside the weights and a step, the GPU has memory for a KV cache of "
            f"{max(pages - 1, 0) * PAGE_TOKENS} tokens, but one request may need {plan.max_model_len}: lower "
            f"{Env.MAX_MODEL_LEN}, or use a GPU with more memory",
        )
    return min(pages, plan.most_slots * (needed - 1) + 1)


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
