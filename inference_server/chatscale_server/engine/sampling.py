"""Samples one token per row of a batch, each row with its own parameters.

Randomness is an argument: one uniform number per row, so the token of a row depends only on its own logits and
generator. The order is that of transformers: repetition penalty, temperature, top_k, top_p, min_p. OpenAI's penalties
and the logit bias come after the repetition penalty.
"""

from collections.abc import Sequence
from typing import Final

import torch

from chatscale_server.engine.request import Sampling, Score

HEAD_TOKENS: Final = 512
"""Rows whose filters keep at most this many tokens are not fully sorted. Sorting 49152 logits takes 3.6 ms, finding
the 512 largest 0.3 ms (one core of a Xeon with AVX-512). A decode step of 16 rows takes 40 ms."""

LEAST_LOGPROB: Final = -9999.0
"""OpenAI's value for an impossible token, because JSON has no infinity."""


def choose_tokens(logits: torch.Tensor, rows: Sequence[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Choose one token per row.

    logits: (batch, vocab) float32, penalties applied.  uniforms: (batch,) float64 in [0, 1).
    Returns (batch,) int64.
    """
    tokens = logits.argmax(dim=-1)
    plain = [at for at, row in enumerate(rows) if row.temperature > 0 and not _filters(row)]
    filtered = [at for at, row in enumerate(rows) if row.temperature > 0 and _filters(row)]
    if plain:
        index = torch.tensor(plain, device=logits.device)
        probabilities = _scaled(logits[index], [rows[at] for at in plain]).softmax(dim=-1)
        tokens[index] = _draw(probabilities, uniforms[index])
    if filtered:
        index = torch.tensor(filtered, device=logits.device)
        tokens[index] = _draw_filtered(logits[index], [rows[at] for at in filtered], uniforms[index])
    return tokens


def penalise(
    logits: torch.Tensor, rows: Sequence[Sampling], counts: torch.Tensor | None, seen: torch.Tensor | None
) -> torch.Tensor:
    """Logits after all penalties and biases, in a new tensor if any row has one.

    repetition: logit / penalty where it is positive, else logit * penalty, for tokens in `seen`.
    OpenAI's: logit - presence * (count > 0) - frequency * count + bias.
    counts: (batch, vocab) of tokens generated so far.  seen: (batch, vocab) bool, in prompt or output.
    Each may be None if no row has the penalty.
    """
    if seen is not None:
        penalty = torch.tensor([row.repetition_penalty for row in rows], device=logits.device)[:, None]
        logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    if counts is not None:
        presence = torch.tensor([row.presence_penalty for row in rows], device=logits.device)
        frequency = torch.tensor([row.frequency_penalty for row in rows], device=logits.device)
        logits = logits - presence[:, None] * (counts > 0) - frequency[:, None] * counts
    if any(row.logit_bias for row in rows):
        # The model's output is an inference tensor, which cannot be changed in place here.
        logits = logits.clone()
    for at, row in enumerate(rows):
        if row.logit_bias:
            biased, bias = zip(*row.logit_bias, strict=True)
            index = torch.tensor(biased, device=logits.device)
            logits[at, index] += torch.tensor(bias, device=logits.device, dtype=logits.dtype)
    return logits


def score_tokens(logits: torch.Tensor, tokens: Sequence[int], tops: Sequence[int]) -> list[Score]:
    """Score of each row's token, with its most likely tokens. logits: (batch, vocab), unchanged output of the model."""
    whole = logits.logsumexp(dim=-1, keepdim=True)
    chosen = logits.gather(-1, torch.tensor(tokens, device=logits.device)[:, None])
    best = logits.topk(min(max(tops), logits.shape[-1]), dim=-1)
    chosen, values = ((found - whole).clamp(min=LEAST_LOGPROB) for found in (chosen, best.values))
    rows = zip(tokens, chosen.squeeze(-1).tolist(), best.indices.tolist(), values.tolist(), tops, strict=True)
    return [
        Score(token, logprob, tuple(zip(ids[:top], values[:top], strict=True)))
        for token, logprob, ids, values, top in rows
    ]


def _filters(row: Sampling) -> bool:
    return row.top_k > 0 or row.top_p < 1 or row.min_p > 0


def _scaled(logits: torch.Tensor, rows: Sequence[Sampling]) -> torch.Tensor:
    """Float64 logits over temperature."""
    temperature = torch.tensor([row.temperature for row in rows], device=logits.device, dtype=torch.float64)
    return logits.double() / temperature[:, None]


def _draw(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution. Rows need not sum to 1."""
    cumulative = probabilities.cumsum(dim=-1)
    target = uniforms[:, None] * cumulative[:, -1:]
    # right=True skips leading zeros, so that a token of probability 0 is never drawn.
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1).clamp(max=probabilities.shape[-1] - 1)


def _draw_filtered(logits: torch.Tensor, rows: Sequence[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Draw from the `HEAD_TOKENS` most likely tokens, or from the whole vocabulary if the filters keep more."""
    scaled = _scaled(logits, rows)
    vocab = logits.shape[-1]
    head = scaled.topk(min(HEAD_TOKENS, vocab), dim=-1)
    kept = _kept_probabilities(head.values, scaled.logsumexp(dim=-1), rows, vocab)
    tokens = head.indices.gather(-1, _draw(kept, uniforms)[:, None]).squeeze(-1)
    # The kept tokens are the most likely ones. If the last token of the head is removed, the head contains all of them.
    beyond = (kept[:, -1] > 0).tolist()
    longer = [at for at, row in enumerate(rows) if row.top_k > HEAD_TOKENS or (row.top_k == 0 and beyond[at])]
    if longer and vocab > HEAD_TOKENS:
        index = torch.tensor(longer, device=logits.device)
        ordered, order = scaled[index].sort(dim=-1, descending=True)
        kept = _kept_probabilities(ordered, ordered.logsumexp(dim=-1), [rows[at] for at in longer], vocab)
        tokens[index] = order.gather(-1, _draw(kept, uniforms[index])[:, None]).squeeze(-1)
    return tokens


def _kept_probabilities(
    ordered: torch.Tensor, logsumexp: torch.Tensor, rows: Sequence[Sampling], vocab: int
) -> torch.Tensor:
    """Probabilities of the tokens that pass top_k, then top_p of the rest, then min_p; otherwise 0.

    ordered: (batch, n) float64, descending; all tokens or the most likely ones.  logsumexp: (batch,), of all tokens.
    """
    device = ordered.device
    top_k = torch.tensor([row.top_k or vocab for row in rows], device=device)
    top_p = torch.tensor([row.top_p for row in rows], device=device, dtype=torch.float64)
    min_p = torch.tensor([row.min_p for row in rows], device=device, dtype=torch.float64)
    probabilities = (ordered - logsumexp[:, None]).exp()
    probabilities[torch.arange(ordered.shape[-1], device=device) >= top_k[:, None]] = 0
    whole = torch.where(top_k >= vocab, 1.0, probabilities.sum(dim=-1))
    before = probabilities.cumsum(dim=-1) - probabilities
    probabilities[(before >= (top_p * whole)[:, None]) & (top_p < 1)[:, None]] = 0
    probabilities[probabilities < min_p[:, None] * probabilities[:, :1]] = 0
    return probabilities
