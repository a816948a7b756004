"""Checks a loaded model against its own plain forward pass, and makes it fast where the results stay the same."""

import inspect
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import torch

from chatscale_server.engine.attention import describe
from chatscale_server.engine.checkpoint import unsupported
from chatscale_server.engine.decode_graphs import DecodeGraphs, Record, cuda_recorder
from chatscale_server.engine.decode_speed import choose_batch
from chatscale_server.engine.fused import FAMILIES, GATED, FusedDecoder
from chatscale_server.engine.linears import LAYOUT_ROWS, pack_linears, watch_siblings
from chatscale_server.engine.loading import (
    CUDA_BURST_FACTOR,
    CUDA_TOKENS_PER_STEP,
    FAILURES,
    LoadPlan,
    load_model,
    loading_error,
    new_cache,
    spare_pages,
)
from chatscale_server.engine.model import SlotModel
from chatscale_server.engine.prefill_cost import PrefillCost
from chatscale_server.engine.probes import decode_seconds, prefill_seconds, probe_row
from chatscale_server.errors import StartupError
from chatscale_server.logs import where

if TYPE_CHECKING:
    from chatscale_server.engine.kernels.cpu import CpuKernels

log = logging.getLogger(__name__)

PROBE_TOKENS: Final = 24
PROBE_CHUNK: Final = 10
NEIGHBOUR_TOKENS: Final = 1024
"""Length of the long neighbour in a check. Enough for the local attention of older models, and fast."""
PREFILL_PROBES: Final = (32, 160)
"""Prompt tokens."""
GRAPH_GAIN: Final = 1.05
"""Minimum speed-up to keep decode graphs, because they use memory and compute idle rows."""
GRAPH_PROBES: Final = 5
LOOP_LOSS: Final = 0.8
"""Minimum speed of the compiled loops, relative to torch's operators. Below 1, because the measurement is short: a busy
machine gave 0.98, and 1.5 with 32 alternations."""
LOOP_PROBES: Final = (2, 1.0)
"""Minimum number and minimum seconds of the decode steps that compare the compiled loops with torch's operators."""
LOOP_HIDDEN: Final = 256
"""Minimum width of a model whose loops are compiled. Compiling takes seconds, and a step of a smaller one a few ms."""
LOOP_POSITION: Final = 128
"""Position of the tokens in these steps."""
REHEARSED_TOKENS: Final = (1, 8, 24, 64, 136, 320, 700, 1400, 2048, 4096)
"""Prompt tokens of the steps that are computed on a GPU before the server is ready. Libraries choose and load other
kernels for other sizes: the first crowd of 32 clients waited 0.6 s longer than the next one (8B on an H100)."""
SAMPLING_COPIES: Final = 6
"""Copies of a step's float32 logits that exist at a time while tokens are chosen."""
_TOLERANCE: Final = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
"""Relative to the largest logit. Half formats round differently for different batch shapes."""


def warm_up(model: SlotModel, plan: LoadPlan, pack: Callable[..., int] = pack_linears) -> SlotModel:
    """Check the model, then optimise it where its results stay the same. Raises StartupError."""
    with watch_siblings(model.network) as siblings:
        ids, expected = _expect(model, plan)
    if plan.config.model_type in FAMILIES:
        siblings = [group for group in siblings if group.names != GATED]
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
    _fuse(model, plan, ids, expected)
    use_loops(model, plan, ids, expected)
    if plan.device.type == "cuda":
        _size_cache(model, plan)
    if plan.most_slots > plan.slots:
        choose_batch(model, plan.most_slots, plan.tpot_s, lambda slots: _resize(model, plan, slots))
    if plan.device.type == "cuda":
        if not model.by_row:
            log.info("attention", extra={"attention": describe(plan.device, plan.shape.head_dim)})
            record_decodes(model, plan, cuda_recorder())
        _rehearse(model, plan)
    return model


def _rehearse(model: SlotModel, plan: LoadPlan) -> None:
    """Compute steps of many sizes once: a prompt from its start, a prompt behind a prefix, and some of each decode."""
    page = model.cache.page_tokens
    try:
        for count in REHEARSED_TOKENS:
            size = min(count, plan.max_model_len - page)
            # With few and with many sequences the attention kernel is another one.
            others = [probe_row(model, slot, [1], 1) for slot in range(1, min(model.slots, 1 + count))]
            for start in (0, page):
                if size > 0:
                    model.forward(others, [probe_row(model, 0, [1] * size, start)])
            model.forward((), [probe_row(model, row.slot, [1], 0) for row in others] or [probe_row(model, 0, [1])])
        torch.cuda.synchronize()
    except FAILURES as error:
        raise loading_error(plan.folder, "the warm-up failed", error) from error


def _fuse(model: SlotModel, plan: LoadPlan, ids: list[int], expected: torch.Tensor) -> None:
    """Use the fused layers if the family has them and the results stay the same."""
    if plan.config.model_type not in FAMILIES:
        return
    try:
        model.decoder = FusedDecoder(model.network, plan.max_model_len)
        _check(model, plan, ids, expected)
    except (StartupError, *FAILURES) as error:
        model.decoder = None
        log.warning("layers not fused", extra={"reason": str(error)})


def use_loops(
    model: SlotModel,
    plan: LoadPlan,
    ids: list[int],
    expected: torch.Tensor,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """On a CPU, compile what fused layers compute between their products, if results stay the same."""
    decoder = model.decoder
    if plan.device.type != "cpu" or decoder is None or plan.config.hidden_size < LOOP_HIDDEN:
        return
    began = clock()
    log.info("compiling loops")
    try:
        loops = decoder.compile_loops(model.cache, plan.max_model_len)
        compile_s = clock() - began
        decoder.loops = loops
        _check(model, plan, ids, expected)
        gain = _loop_gain(model, decoder, loops, min(LOOP_POSITION, plan.max_model_len - 1), clock)
        decoder.loops = loops if gain >= LOOP_LOSS else None
        log.info(
            "compiled loops",
            extra={"used": gain >= LOOP_LOSS, "times_as_fast": round(gain, 2), "compile_s": round(compile_s, 1)},
        )
    except Exception as error:  # noqa: BLE001 - numba may be missing, and raises any error
        decoder.loops = None
        log.info("compiled loops", extra={"used": False, "reason": str(error), **where(error)})


def _loop_gain(
    model: SlotModel, decoder: FusedDecoder, loops: "CpuKernels", position: int, clock: Callable[[], float]
) -> float:
    """How many times as fast a decode step of all slots is with the loops as with torch's operators."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    began = clock()
    # Alternate them: other load on the machine then affects both equally.
    while len(seconds[False]) < LOOP_PROBES[0] or clock() - began < LOOP_PROBES[1]:
        for used in (True, False):
            decoder.loops = loops if used else None
            seconds[used].append(decode_seconds(model, model.slots, 1, position, clock))
    return min(seconds[False]) / min(seconds[True])


def _size_cache(model: SlotModel, plan: LoadPlan) -> None:
    """Replace the cache of the checks by one that fills the GPU. Raises StartupError."""
    try:
        step_bytes = _step_bytes(model, plan)
        model.cache = new_cache(plan, 1, 1)  # free the old cache first: there may be no memory for both
        model.cache = new_cache(plan, model.slots, spare_pages(plan, step_bytes))
    except FAILURES as error:
        raise loading_error(plan.folder, "the warm-up failed", error) from error


def _step_bytes(model: SlotModel, plan: LoadPlan) -> int:
    """GPU memory that the largest step needs: full of prompts, and then all slots choose a token."""
    tokens = CUDA_TOKENS_PER_STEP * CUDA_BURST_FACTOR
    size = max(1, min(tokens // plan.most_slots, plan.max_model_len))
    rows = [probe_row(model, slot % model.slots, [1] * size) for slot in range(tokens // size)]
    torch.cuda.reset_peak_memory_stats()
    before: int = torch.cuda.memory_allocated()
    model.forward((), rows)
    peak: int = torch.cuda.max_memory_allocated()
    return peak - before + SAMPLING_COPIES * plan.most_slots * int(plan.config.vocab_size) * 4


def _resize(model: SlotModel, plan: LoadPlan, slots: int) -> None:
    if model.cache.pages:
        model.cache.set_slots(slots)
    else:
        model.cache = new_cache(plan, 1, None)  # free the old cache first: there may be no memory for both
        model.cache = new_cache(plan, slots, None)
    model.slots = slots


def record_decodes(model: SlotModel, plan: LoadPlan, record: Record) -> None:
    """Use decode graphs if their results are equal and they are faster. After any failure the model works without."""
    try:
        without_s = decode_seconds(model, model.slots, GRAPH_PROBES)
        graphs = DecodeGraphs(model.compute, model.slots, plan.config.vocab_size, plan.device)
        graphs.record(record)
        model.graphs = graphs
        _check(model, plan, *_expect(model, plan))
        gain = without_s / decode_seconds(model, model.slots, GRAPH_PROBES)
        reason = "" if gain >= GRAPH_GAIN else "not faster"
        log.info(
            "decode graphs",
            extra={"used": not reason, "times_as_fast": round(gain, 2), "sizes": graphs.sizes, "reason": reason},
        )
    except (StartupError, *FAILURES) as error:
        reason = str(error)
        log.warning("decode graphs", extra={"used": False, "reason": reason})
    if reason:
        model.graphs = None


def _expect(model: SlotModel, plan: LoadPlan) -> tuple[list[int], torch.Tensor]:
    """A probe prompt and its logits (vocab,) from a plain forward pass. Raises StartupError."""
    ids = [(7 * at + 3) % plan.config.vocab_size for at in range(min(PROBE_TOKENS, plan.max_model_len))]
    if "logits_to_keep" not in inspect.signature(model.network.forward).parameters:
        raise unsupported(plan.folder, f"{type(model.network).__name__} is not a standard causal language model")
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
        model.forward((), [probe_row(model, 0, ids[:PROBE_CHUNK])])
        model.forward((), [probe_row(model, 0, ids[PROBE_CHUNK : last - 1], PROBE_CHUNK)])
        # Decode twice, so that a recorded step is replayed with other inputs.
        model.forward([probe_row(model, 0, ids[last - 1 : last], last - 1)])
        found = model.forward([probe_row(model, 0, ids[last:], last)]).logits[0].clone()
        beside = None if model.slots == 1 else _decode_beside_long(model, plan, ids[last:], last)
        model.forward([probe_row(model, slot, ids[last:], last) for slot in range(model.slots)])
    except FAILURES as error:
        raise loading_error(plan.folder, "the warm-up failed", error) from error
    _compare(plan, found, expected, "the KV cache does not reproduce a plain forward pass")
    if beside is not None:
        _compare(plan, beside, expected, "a long request changes the output of a short one in the same batch")


def _decode_beside_long(model: SlotModel, plan: LoadPlan, token: Sequence[int], position: int) -> torch.Tensor:
    """Logits (vocab,) of a token in slot 0, decoded together with a much later position in slot 1."""
    long = min(plan.max_model_len, NEIGHBOUR_TOKENS) - 1
    return model.forward([probe_row(model, 0, token, position), probe_row(model, 1, token, long)]).logits[0]


def _compare(plan: LoadPlan, found: torch.Tensor, expected: torch.Tensor, problem: str) -> None:
    """Raises StartupError(MODEL_UNSUPPORTED) if the logits differ by more than rounding."""
    difference, scale = float((found - expected).abs().max()), float(expected.abs().max())
    if not difference <= _TOLERANCE[plan.dtype] * max(scale, 1e-6):
        raise unsupported(plan.folder, f"{problem} (logits differ by {difference:.3g} of {scale:.3g})")


def measure_prefill(model: SlotModel, plan: LoadPlan) -> PrefillCost:
    """Measure the cost of a prefill on this machine, from the best of two short and of two long passes."""
    few, many = (min(count, plan.max_model_len - 1) for count in PREFILL_PROBES)
    # Alternate them: other load on the machine then affects both equally.
    times = [(prefill_seconds(model, few), prefill_seconds(model, many)) for _ in range(2)]
    few_s, many_s = map(min, zip(*times, strict=True))
    return PrefillCost.of_probes((few, few_s), (many, many_s))
