"""Samples one token per row of a batch, each row with its own parameters.

Randomness is an argument: one uniform number per row, so the token of a row depends only on its own logits and
generator. This module is the definition and runs on every device; `kernels/sampling.py` does the same faster on a GPU.

1. Penalties (`penalise`): repetition penalty, OpenAI's penalties, logit bias.
2. Temperature 0 chooses the largest logit, and among equal ones the lowest token. So does a row without a finite
   maximum.
3. Otherwise the weight of a token is exp((logit - maximum) / temperature). The filters have the order of transformers:
   top_k, top_p of the rest, min_p. Each filter keeps the tokens from one logit on. Tokens with equal logits are kept
   or removed together, so a filter may keep more tokens than transformers does.
4. The uniform number selects from the kept tokens in the order of the vocabulary: the first token at which the sum of
   weights exceeds its share of the whole sum.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from chatscale_server.engine.request import Sampling, Score

LEAST_LOGPROB: Final = -9999.0
"""OpenAI's value for an impossible token, because JSON has no infinity."""

LARGEST_SCALE: Final = 3e38
"""Largest factor on logits, within float32. A lower temperature chooses like this one."""

BLOCK: Final = 256
"""Number of weights that are added up in float32. The sums of blocks are added up in float64."""

LEAST_EXPONENT: Final = -80.0
LEAST_WEIGHT: Final = 2e-35
"""Weights of at most this are 0. It is a little more than exp(LEAST_EXPONENT). Without both, `exp` takes 40 ms instead
of 1 ms for 32 rows of 49152 logits, because it is slow where its result is below the smallest normal float32."""


def pack_parameters(rule: Sampling) -> tuple[float, float, float, float]:
    """The parameters as `kernels/sampling.py` reads them in float32.

    Factor on logits for exp2, 0 for greedy; top_p; distance from the largest logit to min_p's threshold; top_k or 0.
    """
    return _scale(rule, math.log2(math.e)), rule.top_p, _min_p_distance(rule), float(rule.top_k)


def choose_tokens(logits: torch.Tensor, rows: Sequence[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Choose one token per row.

    logits: (batch, vocab) float32, penalties applied.  uniforms: (batch,) float64 in [0, 1).
    Returns (batch,) int64.
    """
    tokens = greedy(logits)
    sampled = [at for at, row in enumerate(rows) if row.temperature > 0]
    if len(sampled) == len(rows):
        return _draw(logits, tokens, rows, uniforms)
    if sampled:
        index = upload(sampled, logits.device)
        some = [rows[at] for at in sampled]
        tokens[index] = _draw(logits[index], tokens[index], some, uniforms[index])
    return tokens


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """Token of the largest logit of each row, the lowest one among equals. Can be recorded in a CUDA graph.

    logits: (batch, vocab). Returns (batch,) int64.
    """
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        # 0.2 ms for 32 rows of 49152 tokens; torch takes 1.7 ms.
        return torch.from_numpy(logits.detach().numpy().argmax(axis=-1))
    return logits.argmax(dim=-1)


def upload(values: Sequence[float], device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """(values,) on the device. Does not wait for the device, unlike `torch.tensor(values, device=device)`."""
    host = torch.tensor(values, dtype=dtype)
    return host if device.type == "cpu" else host.pin_memory().to(device, non_blocking=True)


def penalise(
    logits: torch.Tensor, rows: Sequence[Sampling], counts: torch.Tensor | None, seen: torch.Tensor | None
) -> torch.Tensor:
    """Logits after all penalties and biases, in a new tensor if any row has one.

    repetition: logit / penalty where it is positive, else logit * penalty, for tokens in `seen`.
    OpenAI's: logit - presence * (count > 0) - frequency * count + bias.
    counts: (batch, vocab) of tokens generated so far.  seen: (batch, vocab) bool, in prompt or output.
    Each may be None if no row has the penalty.
    """
    device = logits.device
    if seen is not None:
        penalty = upload([row.repetition_penalty for row in rows], device)[:, None]
        logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    if counts is not None:
        presence = upload([row.presence_penalty for row in rows], device)
        frequency = upload([row.frequency_penalty for row in rows], device)
        logits = logits - presence[:, None] * counts.clamp(max=1) - frequency[:, None] * counts
    if any(row.logit_bias for row in rows):
        # The model's output is an inference tensor, which cannot be changed in place here.
        logits = logits.clone()
    for at, row in enumerate(rows):
        if row.logit_bias:
            biased, bias = zip(*row.logit_bias, strict=True)
            logits[at].index_add_(0, upload(biased, device), upload(bias, device, logits.dtype))
    return logits


def score_tokens(logits: torch.Tensor, tokens: torch.Tensor, tops: Sequence[int]) -> list[Score]:
    """Score of each row's token, with its most likely tokens. Waits for the device once.

    logits: (batch, vocab), unchanged output of the model.  tokens: (batch,) int64, on the same device.
    """
    whole = logits.logsumexp(dim=-1, keepdim=True)
    best = logits.topk(min(max(tops), logits.shape[-1]), dim=-1)
    found = torch.cat([logits.gather(-1, tokens[:, None]), best.values], dim=-1)
    logprobs = (found - whole).clamp(min=LEAST_LOGPROB)
    # One tensor, so that there is one download. Float64 holds the tokens exactly.
    downloaded = torch.cat([tokens[:, None].double(), logprobs.double(), best.indices.double()], dim=-1).tolist()
    split = 2 + best.values.shape[-1]
    return [
        Score(int(token), logprob, tuple(zip(map(int, rest[split - 2 :][:top]), rest[:top], strict=True)))
        for (token, logprob, *rest), top in zip(downloaded, tops, strict=True)
    ]


def _filters(row: Sampling) -> bool:
    return row.top_k > 0 or row.top_p < 1 or row.min_p > 0


def _scale(row: Sampling, factor: float) -> float:
    return min(factor / row.temperature, LARGEST_SCALE) if row.temperature > 0 else 0.0


def _min_p_distance(row: Sampling) -> float:
    """Difference of logits at which a token is `min_p` times as likely as the most likely one."""
    return max(math.log(row.min_p) * row.temperature, -LARGEST_SCALE) if row.min_p > 0 else -math.inf


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """(values, 1) float32 on the device of `like`. The kernel reads parameters in float32 too."""
    return upload(values, like.device, torch.float32)[:, None]


def _cuts(logits: torch.Tensor, top: torch.Tensor, rows: Sequence[Sampling]) -> torch.Tensor | None:
    """Logit from which on the tokens pass all filters of their row; None if no row has a filter.

    top: largest logit.  Both are (batch, 1) float32.
    """
    if not any(map(_filters, rows)):
        return None
    vocab = logits.shape[-1]
    cut = top + _column([_min_p_distance(row) for row in rows], logits)
    if all(row.top_k == 0 and row.top_p >= 1 for row in rows):
        return cut
    ordered = _descending(logits)
    last = upload([min(row.top_k or vocab, vocab) - 1 for row in rows], logits.device)
    kth = ordered.gather(-1, last[:, None])
    cut = torch.maximum(cut, kth)
    if all(row.top_p >= 1 for row in rows):
        return cut
    weights = _weights(ordered, top, rows, kth if any(row.top_k for row in rows) else None)
    top_p = _column([row.top_p for row in rows], logits)
    at = _select(weights, top_p).clamp_(max=vocab - 1)
    return torch.where(top_p < 1, torch.maximum(cut, ordered.gather(-1, at)), cut)


def _descending(logits: torch.Tensor) -> torch.Tensor:
    if logits.device.type != "cpu":
        return logits.sort(dim=-1, descending=True).values
    # numpy takes 6 ms for 32 rows of 49152 tokens, torch 158 ms.
    ordered = np.negative(logits.detach().numpy())
    ordered.sort(axis=-1)
    return torch.from_numpy(np.negative(ordered, out=ordered))


def _draw(logits: torch.Tensor, best: torch.Tensor, rows: Sequence[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Draw from the tokens that pass the filters. best: (batch,) greedy tokens, for rows without a finite maximum."""
    top = logits.gather(-1, best[:, None])
    weights = _weights(logits, top, rows, _cuts(logits, top, rows))
    return torch.where(top.isfinite(), _select(weights, uniforms[:, None]), best[:, None]).squeeze(-1)


def _weights(
    logits: torch.Tensor, top: torch.Tensor, rows: Sequence[Sampling], cut: torch.Tensor | None
) -> torch.Tensor:
    """exp((logits - top) / temperature), 0 below `cut`, as (batch, blocks, BLOCK) with zeros at the end. float32."""
    batch, vocab = logits.shape
    weights = logits.new_zeros(batch, -(-vocab // BLOCK), BLOCK)
    part = weights.view(batch, -1)[:, :vocab]
    torch.sub(logits, top, out=part)
    part.mul_(_column([_scale(row, 1) for row in rows], logits)).clamp_(min=LEAST_EXPONENT).exp_()
    torch.nn.functional.threshold_(part, LEAST_WEIGHT, 0)
    if cut is not None:
        # A comparison that writes floats takes 0.3 ms for 32 rows of 49152 tokens, one that writes booleans 4 ms.
        part.mul_(torch.ge(logits, cut, out=torch.empty_like(logits)))
    return weights


def _select(weights: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Index of the first weight at which the cumulative sum exceeds `share` of the whole sum.

    weights: (batch, blocks, BLOCK) float32, not negative.  share: (batch, 1) in [0, 1).  Returns (batch, 1) int64.
    """
    sums = weights.sum(dim=-1)
    cumulative = sums.cumsum(dim=-1, dtype=torch.float64)
    target = share * cumulative[:, -1:]
    block = _first_beyond(cumulative, sums, target)
    target -= cumulative.gather(-1, block) - sums.gather(-1, block)
    inside = weights.gather(1, block[:, :, None].expand(-1, 1, BLOCK)).squeeze(1)
    return block * BLOCK + _first_beyond(inside.cumsum(dim=-1, dtype=torch.float64), inside, target)


def _first_beyond(cumulative: torch.Tensor, weights: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """First index with a weight at which the sum exceeds the target: (batch, 1). All: (batch, n)."""
    size = weights.shape[-1]
    index = torch.arange(size, device=weights.device)
    first = torch.where((cumulative > target) & (weights > 0), index, size).amin(dim=-1, keepdim=True)
    # Rounding can leave the target beyond the sum.
    last = torch.where(weights > 0, index, 0).amax(dim=-1, keepdim=True)
    return torch.where(first < size, first, last)
