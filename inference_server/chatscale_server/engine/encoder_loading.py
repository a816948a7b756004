"""Loads an encoder: weights, pooling, tokenizer, and the measurements that batching and scaling need.

A self-check compares a padded batch with each of its inputs alone, so that a family with wrong results is rejected.
"""

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.slots import MAX_SLOTS, MIN_SLOTS
from chatscale_server.engine.checkpoint import task_of, unsupported
from chatscale_server.engine.encoder import Activation, Encoder, numbers
from chatscale_server.engine.encoding import EncoderInfo, Task
from chatscale_server.engine.loaded_weights import load_network
from chatscale_server.engine.loading import FAILURES, available_bytes, loading_error, pick_device, pick_dtype
from chatscale_server.engine.pooling import Pooling, read_pooling
from chatscale_server.engine.protocol import ModelInfo, PhaseSink
from chatscale_server.engine.tokenizer import Tokenizer
from chatscale_server.engine.weight_files import WeightFiles, read_weight_files
from chatscale_server.engine.weights import check_fit
from chatscale_server.errors import StartupError
from chatscale_server.settings import Dtype, Settings

log = logging.getLogger(__name__)

STEP_S: Final = 0.2
"""Target for the time of a step: a new request waits for the present one."""
MAX_TOKENS_PER_STEP: Final = 16_384
"""Enough to fill a GPU."""
PROBE_TOKENS: Final = 1024
PROBE_INPUT_TOKENS: Final = 128
PROBES: Final = 3
CHECKED_LENGTHS: Final = (3, 11, 40)
_OFFSET_FAMILIES: Final = frozenset({"camembert", "roberta", "xlm-roberta"})
"""Their positions begin after the id of the padding token, so inputs are shorter than the table of positions."""
_HEADS: Final = (
    re.compile(r"(^|\.)pooler\."),
    re.compile(r"^(cls|lm_head|vocab_(transform|layer_norm|projector)|generator_\w+|discriminator_\w+)\."),
)
"""Tensors of heads that embeddings do not need: BERT's pooler, and the heads of pre-training."""
_TOLERANCE: Final = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Relative to the largest number of a vector."""


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """An encoder that is ready to compute."""

    encoder: Encoder
    tokenizer: Tokenizer
    info: ModelInfo


def load_encoder(folder: Path, config: Any, settings: Settings, phase: PhaseSink) -> LoadedEncoder:
    """Load and warm up. Raises StartupError."""
    began = time.monotonic()
    task = task_of(folder, config)
    weights = read_weight_files(folder, allow_pickled=settings.allow_pickled_weights)
    pooling = read_pooling(folder) if task is Task.EMBED else Pooling()
    tokenizer = Tokenizer(folder, None, trust_remote_code=settings.trust_remote_code)
    max_model_len = _max_input_tokens(config, pooling, settings.max_model_len)
    device = pick_device(settings.device)
    dtype = pick_dtype(settings.dtype, device) if device.type == "cuda" or settings.dtype is not Dtype.AUTO else (
        torch.float32  # Embeddings are compared with stored ones, so equal results matter more than speed.
    )  # fmt: skip
    if (available := available_bytes(device, settings.memory_limit_bytes)) is not None:
        check_fit(
            weight_bytes=weights.parameters * dtype.itemsize, kv_bytes=0, available_bytes=available,
            what=settings.model_uri,
            where="the GPU's free memory" if device.type == "cuda" else "the memory limit",
        )  # fmt: skip
    try:
        network = _load_network(folder, config, weights, task, dtype)
        network.to(device).eval()
    except (OSError, ImportError, *FAILURES) as error:
        raise loading_error(folder, "loading failed", error) from error
    encoder = Encoder(
        network, task, pooling, _activation(folder, config), device,
        pad_token=config.pad_token_id or 0, most_tokens=MAX_TOKENS_PER_STEP,
    )  # fmt: skip
    phase("load", time.monotonic() - began)

    began = time.monotonic()
    size = _check(folder, encoder, config.vocab_size, max_model_len, dtype)
    rate = _measure(encoder, max_model_len)
    tokens_per_step = min(max(int(rate * STEP_S), max_model_len), MAX_TOKENS_PER_STEP)
    phase("warm_up", time.monotonic() - began)
    slots = settings.max_concurrency or choose_slots(rate, settings.slo_ttft_milliseconds / 1000)
    log.info("slots chosen", extra={"slots": slots, "tokens_per_second": round(rate)})
    return LoadedEncoder(
        encoder,
        tokenizer,
        ModelInfo(
            max_model_len=max_model_len,
            kv_capacity_tokens=slots * max_model_len,
            tokens_per_step=tokens_per_step,
            max_tokens_per_second=rate,
            slots=slots,
            vocab_size=config.vocab_size,
            end_tokens=frozenset(),
            encoder=EncoderInfo(
                task=task,
                size=size,
                normalised=pooling.normalise,
                dimensions=_dimensions(folder, config),
                labels=_labels(config, size) if task is Task.CLASSIFY else (),
            ),
        ),
    )


def choose_slots(tokens_per_second: float, ttft_s: float) -> int:
    """Requests whose inputs are computed in turn, if the settings name no number.

    The largest power of two of typical inputs that the encoder computes within the objective for the time to first
    token, MIN_SLOTS to MAX_SLOTS. A full replica then answers all of them in time, and more would wait in the queue.
    E.g. 12,000 tokens per second and 2 s: 187 inputs of 128 tokens, so 128.
    """
    found = int(tokens_per_second * ttft_s / PROBE_INPUT_TOKENS)
    return max(MIN_SLOTS, min(MAX_SLOTS, 1 << max(found.bit_length() - 1, 0)))


def _load_network(folder: Path, config: Any, weights: WeightFiles, task: Task, dtype: torch.dtype) -> Any:
    options = {"config": config, "dtype": dtype, "attn_implementation": "sdpa"}
    if task is Task.CLASSIFY:
        return load_network(AutoModelForSequenceClassification, folder, weights, **options)
    if config.model_type not in {"distilbert", "electra"}:
        # The pooler is a layer of BERT's own pre-training, and no part of sentence-transformers' pooling.
        options["add_pooling_layer"] = False
    return load_network(AutoModel, folder, weights, unused=_HEADS, **options)


def _max_input_tokens(config: Any, pooling: Pooling, requested: int | None) -> int:
    """Tokens of one input, special tokens included. Raises StartupError(BAD_SETTINGS)."""
    limit: int = config.max_position_embeddings
    if config.model_type in _OFFSET_FAMILIES:
        limit -= config.pad_token_id + 1
    if requested is not None and requested > limit:
        raise StartupError(
            ExitCode.BAD_SETTINGS, f"{Env.MAX_MODEL_LEN} must be within the model's {limit} tokens, found {requested}"
        )
    return requested or min(limit, pooling.max_tokens or limit)


def _activation(folder: Path, config: Any) -> Activation:
    """Scores to probabilities, by the checkpoint's `problem_type` and number of labels, as in vLLM."""
    stated = (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    stated = str(stated or getattr(config, "sbert_ce_default_activation_function", None) or "").rsplit(".", 1)[-1]
    problem = getattr(config, "problem_type", None)
    if stated not in {"", "Identity", "Sigmoid"}:
        raise unsupported(folder, f"the activation {stated} of the classifier is not supported")
    if stated == "Identity" or (not stated and problem == "regression"):
        return lambda scores: scores
    single = problem == "single_label_classification" or (problem is None and config.num_labels > 1)
    if stated == "Sigmoid" or not single:
        return _sigmoid
    return lambda scores: torch.softmax(scores, dim=-1)


def _sigmoid(scores: torch.Tensor) -> torch.Tensor:
    return scores.sigmoid()


def _labels(config: Any, size: int) -> tuple[str, ...]:
    names = {int(at): str(name) for at, name in (config.id2label or {}).items()}
    return tuple(names.get(at, f"LABEL_{at}") for at in range(size))


def _dimensions(folder: Path, config: Any) -> frozenset[int] | None:
    """Sizes that the checkpoint names for shorter embeddings (Matryoshka); None if it names none."""
    named = getattr(config, "matryoshka_dimensions", None)
    if named is None:
        return None
    if not isinstance(named, list) or not all(isinstance(one, int) and one > 0 for one in named):
        raise unsupported(folder, "matryoshka_dimensions of config.json must be a list of numbers from 1")
    return frozenset(named)


def _check(folder: Path, encoder: Encoder, vocab_size: int, max_model_len: int, dtype: torch.dtype) -> int:
    """Compare a padded batch with each input alone. Returns the size of a vector. Raises StartupError."""
    lengths = [min(length, max_model_len) for length in CHECKED_LENGTHS]
    inputs = [[(7 * at + length) % vocab_size for at in range(length)] for length in lengths]
    try:
        together = [numbers(vector) for vector in encoder.compute_padded(inputs)]
        alone = [numbers(encoder.compute([tokens])[0]) for tokens in inputs]
    except FAILURES as error:
        raise loading_error(folder, "the warm-up failed", error) from error
    scale = max(abs(number) for vector in alone for number in vector)
    pairs = [pair for one, other in zip(together, alone, strict=True) for pair in zip(one, other, strict=True)]
    difference = max(abs(one - other) for one, other in pairs)
    if not difference <= _TOLERANCE[dtype] * max(scale, 1e-6):
        raise unsupported(folder, f"padding changes the vector of an input (by {difference:.3g} of {scale:.3g})")
    return len(alone[0])


def _measure(encoder: Encoder, max_model_len: int) -> float:
    """Tokens per second; the fastest run counts, because other load only makes a run slower."""
    length = min(PROBE_INPUT_TOKENS, max_model_len)
    inputs = [[1] * length] * max(1, PROBE_TOKENS // length)
    times_s = []
    for _ in range(PROBES):
        began_s = time.perf_counter()
        encoder.compute(inputs)
        times_s.append(time.perf_counter() - began_s)
    return length * len(inputs) / min(times_s)
