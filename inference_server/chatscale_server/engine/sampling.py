"""From logits to tokens, a whole batch at a time, each row by its own rules.

Randomness is an argument: one uniform number per row, so a row's token depends on its own logits and
its own generator and never on its neighbours' settings. The order of the rules is transformers' own:
repetition penalty, temperature, top_k, top_p, min_p; OpenAI's penalties and the bias come after the first.
"""

from collections.abc import Sequence
from typing import Final

import torch

from chatscale_server.engine.request import Sampling, Score

HEAD_TOKENS: Final = 512
"""Rows whose filters keep fewer tokens are never sorted whole: 49152 logits take 3.6 ms to sort, 0.3 ms to find their
512 largest (one core of a Xeon with AVX-512); a decode step of sixteen takes 40 ms."""

LEAST_LOGPROB: Final = -9999.0
"""What OpenAI says of a token that cannot come: JSON has no infinity."""


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
    """The logits after all penalties and biases, in a tensor of its own if any row has one.

    repetition: logit / penalty where it is positive, else logit * penalty, for tokens in `seen`.
    OpenAI's: logit - presence * (count > 0) - frequency * count + bias.
    counts: (batch, vocab) of tokens generated so far.  seen: (batch, vocab) bool, in prompt or answer.
    Each may be None when no row has the penalty.
    """
    if seen is not None:
        penalty = torch.tensor([row.repetition_penalty for row in rows], device=logits.device)[:, None]
        logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    if counts is not None:
        presence = torch.tensor([row.presence_penalty for row in rows], device=logits.device)
        frequency = torch.tensor([row.frequency_penalty for row in rows], device=logits.device)
        logits = logits - presence[:, None] * (counts > 0) - frequency[:, None] * counts
    if any(row.logit_bias for row in rows):
        # The model's own output is an inference tensor, which must not be changed in place out here.
        logits = logits.clone()
    for at, row in enumerate(rows):
        if row.logit_bias:
            biased, bias = zip(*row.logit_bias, strict=True)
            index = torch.tensor(biased, device=logits.device)
            logits[at, index] += torch.tensor(bias, device=logits.device, dtype=logits.dtype)
    return logits


def score_tokens(logits: torch.Tensor, tokens: Sequence[int], tops: Sequence[int]) -> list[Score]:
    """How likely each row's token was, and its likeliest ones. logits: (batch, vocab), as the model gave them."""
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
    """Invert the cumulative distribution; rows need not sum to one."""
    cumulative = probabilities.cumsum(dim=-1)
    target = uniforms[:, None] * cumulative[:, -1:]
    # right=True passes over leading zeros: a token of probability 0 is never drawn.
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1).clamp(max=probabilities.shape[-1] - 1)


def _draw_filtered(logits: torch.Tensor, rows: Sequence[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Draw from the likeliest few, and from the whole vocabulary where the filters keep more than those."""
    scaled = _scaled(logits, rows)
    vocab = logits.shape[-1]
    head = scaled.topk(min(HEAD_TOKENS, vocab), dim=-1)
    kept = _kept_probabilities(head.values, scaled.logsumexp(dim=-1), rows, vocab)
    tokens = head.indices.gather(-1, _draw(kept, uniforms)[:, None]).squeeze(-1)
    # What is kept is a run from the likeliest on: a last token that is out means that the run ends within the head.
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
    """Probabilities where a token passes top_k, then top_p of what is left, then min_p; else 0.

    ordered: (batch, n) float64, descending, the vocabulary or its head.  logsumexp: (batch,), of the vocabulary.
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
