"""From logits to tokens, a whole batch at a time, each row by its own rules.

Randomness is an argument: one uniform number per row, so a row's token depends on its own logits and
its own generator and never on its neighbours' settings.
"""

from collections.abc import Sequence

import torch

from chatscale_server.engine.request import Sampling


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
        probabilities = _probabilities(logits[index], [rows[at] for at in plain])
        tokens[index] = _draw(probabilities, uniforms[index])
    if filtered:
        index = torch.tensor(filtered, device=logits.device)
        tokens[index] = _draw_filtered(logits[index], [rows[at] for at in filtered], uniforms[index])
    return tokens


def penalise(logits: torch.Tensor, rows: Sequence[Sampling], counts: torch.Tensor | None) -> torch.Tensor:
    """OpenAI's penalties and logit bias: logits - presence * (count > 0) - frequency * count + bias.

    counts: (batch, vocab) of tokens generated so far; None when no row has a penalty.
    """
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


def _filters(row: Sampling) -> bool:
    return row.top_k > 0 or row.top_p < 1


def _probabilities(logits: torch.Tensor, rows: Sequence[Sampling]) -> torch.Tensor:
    temperature = torch.tensor([row.temperature for row in rows], device=logits.device, dtype=torch.float64)
    return torch.softmax(logits.double() / temperature[:, None], dim=-1)


def _draw(probabilities: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution; rows need not sum to one."""
    cumulative = probabilities.cumsum(dim=-1)
    target = uniforms[:, None] * cumulative[:, -1:]
    # right=True passes over leading zeros: a token of probability 0 is never drawn.
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1).clamp(max=probabilities.shape[-1] - 1)


def _draw_filtered(logits: torch.Tensor, rows: Sequence[Sampling], uniforms: torch.Tensor) -> torch.Tensor:
    """Keep the top_k likeliest, of these the fewest that reach top_p, and draw."""
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = _probabilities(ordered, rows)
    vocab = logits.shape[-1]
    top_k = torch.tensor([row.top_k or vocab for row in rows], device=logits.device)
    top_p = torch.tensor([row.top_p for row in rows], device=logits.device, dtype=torch.float64)
    probabilities[torch.arange(vocab, device=logits.device) >= top_k[:, None]] = 0
    probabilities /= probabilities.sum(dim=-1, keepdim=True)
    before = probabilities.cumsum(dim=-1) - probabilities
    probabilities[before >= top_p[:, None]] = 0
    return order.gather(-1, _draw(probabilities, uniforms)[:, None]).squeeze(-1)
