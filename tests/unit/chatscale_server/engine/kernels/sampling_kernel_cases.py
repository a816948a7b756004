"""Cases for `test_sampling_kernel.py`, which runs them with Triton's interpreter.

Vocabularies and numbers of rows are small: a pass over one block takes the interpreter 10 ms.
"""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale_server.engine.kernels.sampling import sample
from chatscale_server.engine.request import Constraint, Request, Sampling
from chatscale_server.engine.sampling import choose_tokens, pack_parameters
from chatscale_server.engine.slot_sampler import SlotSampler

BLOCK = 64
GREEDY = Sampling(temperature=0.0)


def kernel_tokens(logits: torch.Tensor, rules: list[Sampling], uniforms: torch.Tensor, block: int = BLOCK) -> list[int]:
    parameters = torch.tensor([pack_parameters(rule) for rule in rules], dtype=torch.float32)
    step = torch.stack([torch.arange(len(rules), dtype=torch.float64), uniforms], dim=1)
    return sample(logits, step, parameters, block).tolist()


def admissible(logits: torch.Tensor, rule: Sampling, uniform: float) -> set[int]:
    """Tokens of the definition, if sums are rounded up or down."""
    variants = [
        (replace(rule, top_p=min(rule.top_p * scale, 1.0)), min(max(uniform + shift, 0.0), 1 - 1e-12))
        for scale in (1, 1 - 1e-5, 1 + 1e-5)
        for shift in (0, -1e-6, 1e-6)
    ]
    rows, uniforms = zip(*variants, strict=True)
    uniforms = torch.tensor(uniforms, dtype=torch.float64)
    return set(choose_tokens(logits.repeat(len(rows), 1), rows, uniforms).tolist())


@st.composite
def rows_of_logits(draw: st.DrawFn) -> torch.Tensor:
    """One row: smooth, as computed in bfloat16, full of ties, partly masked, or with any float32 values."""
    vocab = draw(st.sampled_from([1, 2, 5, 63, 64, 65, 150]))
    if draw(st.booleans()):
        value = st.one_of(st.floats(-(2.0**100), 2.0**100, width=32), st.sampled_from([0.0, -0.0, 1.0, -math.inf]))
        return torch.tensor([draw(st.lists(value, min_size=vocab, max_size=vocab))])
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    row = torch.randn(1, vocab, generator=generator) * draw(st.sampled_from([0.0, 0.01, 1.0, 5.0, 40.0]))
    row += draw(st.sampled_from([0.0, 90.0, -25.0]))
    row = draw(st.sampled_from([row, row.bfloat16().float(), row.round()]))
    return row.masked_fill(torch.rand(1, vocab, generator=generator) < draw(st.sampled_from([0.0, 0.9])), -math.inf)


rules = st.builds(
    Sampling,
    temperature=st.one_of(st.sampled_from([0.0, 1e-4, 1.0]), st.floats(0.05, 2)),
    top_k=st.sampled_from([0, 0, 1, 2, 20, 64, 5000]),
    top_p=st.one_of(st.sampled_from([1.0, 1e-6, 0.9, 0.999]), st.floats(0.01, 1)),
    min_p=st.sampled_from([0.0, 0.0, 0.05, 0.5, 1.0]),
)


@given(logits=rows_of_logits(), rule=rules, uniform=st.floats(0, 1, exclude_max=True))
@settings(max_examples=50, deadline=None)
def test_a_row_gets_the_token_of_the_definition(logits, rule, uniform):
    [token] = kernel_tokens(logits, [rule], torch.tensor([uniform], dtype=torch.float64))
    assert token in admissible(logits, rule, uniform)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(Sampling(top_p=1e-6), id="tiny-top-p"),
        pytest.param(Sampling(top_k=1), id="top-1"),
        pytest.param(Sampling(min_p=1.0), id="min-p-1"),
        pytest.param(Sampling(temperature=1e-4), id="tiny-temperature"),
        pytest.param(Sampling(temperature=1e-300), id="temperature-below-float32"),
        pytest.param(GREEDY, id="greedy"),
    ],
)
def test_extreme_parameters_leave_only_the_most_likely_token(rule):
    logits = torch.randn(4, 150, generator=torch.Generator().manual_seed(5))
    uniforms = torch.tensor([0.0, 0.3, 0.999, 1 - 2**-53], dtype=torch.float64)
    assert kernel_tokens(logits, [rule] * 4, uniforms) == logits.argmax(-1).tolist()


@pytest.mark.parametrize(
    "rule", [GREEDY, Sampling(), Sampling(top_k=3, top_p=0.5, min_p=0.1), Sampling(temperature=1e-4)]
)
def test_the_only_token_that_is_allowed_is_chosen(rule):
    logits = torch.full((2, 150), -math.inf)
    logits[:, 130] = -4.0
    assert kernel_tokens(logits, [rule] * 2, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)) == [130, 130]


@pytest.mark.parametrize("rule", [GREEDY, Sampling(top_k=3, top_p=0.5)])
@pytest.mark.parametrize("value", [-math.inf, math.inf, math.nan])
def test_a_row_that_cannot_be_sampled_gets_a_token_of_the_vocabulary(rule, value):
    logits = torch.full((1, 70), value)
    [token] = kernel_tokens(logits, [rule], torch.tensor([0.9], dtype=torch.float64))
    assert 0 <= token < 70


def test_equal_logits_give_the_lowest_token_to_a_greedy_row():
    logits = torch.zeros(2, 150)
    logits[1, [70, 140]] = 1.0
    assert kernel_tokens(logits, [GREEDY] * 2, torch.zeros(2, dtype=torch.float64)) == [0, 70]


def test_logits_equal_to_the_last_kept_one_are_kept():
    logits = torch.tensor([[2.0, 0.0, 4.0, 2.0]])
    uniforms = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
    for rule in (Sampling(top_k=2), Sampling(top_p=0.9), Sampling(min_p=0.1)):
        assert kernel_tokens(logits.repeat(3, 1), [rule] * 3, uniforms) == [0, 2, 3]


def test_a_row_does_not_depend_on_its_neighbours_and_reads_the_parameters_of_its_slot():
    logits = torch.randn(3, 100, generator=torch.Generator().manual_seed(1)) * 2
    by_slot = [GREEDY, Sampling(), Sampling(top_k=5), Sampling(top_p=0.5)]
    parameters = torch.tensor([pack_parameters(rule) for rule in by_slot], dtype=torch.float32)
    step = torch.tensor([[3, 0.7], [0, 0.7], [2, 0.7]], dtype=torch.float64)
    rules = [by_slot[3], by_slot[0], by_slot[2]]
    alone = [kernel_tokens(logits[at, None], [rules[at]], step[at, None, 1])[0] for at in range(3)]
    assert sample(logits, step, parameters, BLOCK).tolist() == alone


@pytest.mark.parametrize(
    ("rule", "kept"),
    [(Sampling(), 100), (Sampling(temperature=0.5), 100), (Sampling(top_k=10), 10), (Sampling(top_p=0.9), None)],
    ids=["plain", "temperature", "top-k", "top-p"],
)
def test_uniform_numbers_are_spread_over_the_tokens_as_their_probabilities_are(rule, kept):
    row = torch.randn(1, 100, generator=torch.Generator().manual_seed(2))
    steps = 12
    uniforms = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    chosen = kernel_tokens(row.repeat(steps, 1), [rule] * steps, uniforms, block=128)
    probabilities = (row[0].double() / rule.temperature).softmax(-1)
    order = probabilities.argsort(descending=True)
    kept = kept or int((probabilities[order].cumsum(0) < rule.top_p).sum()) + 1
    probabilities[order[kept:]] = 0
    expected = (probabilities / probabilities.sum()).cumsum(0)
    found = torch.bincount(torch.tensor(chosen), minlength=100).cumsum(0) / steps
    assert (found - expected).abs().max() <= 1 / steps


def test_a_flat_distribution_is_drawn_evenly():
    """Chi-square over 10 groups of 100 tokens with 100 draws: 27.9 is exceeded for one seed in 1000."""
    uniforms = torch.rand(100, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    chosen = kernel_tokens(torch.zeros(100, 1000), [Sampling()] * 100, uniforms, block=1024)
    found = torch.bincount(torch.tensor(chosen) // 100, minlength=10)
    assert ((found - 10.0) ** 2 / 10).sum() < 27.9


class EvenTokens(Constraint):
    problem = None

    def allowed(self) -> bytes:
        return bytes([1, 0] * 50)

    def accept(self, token: int) -> None:
        assert token % 2 == 0


def test_a_seeded_request_gets_the_same_tokens_with_the_kernel_and_without():
    constraint = EvenTokens()
    rules = [
        Sampling(seed=1, top_p=0.9),
        GREEDY,
        Sampling(seed=2, temperature=0.7, presence_penalty=0.5, logit_bias=((3, 2.0),)),
        Sampling(seed=3, top_k=20),
    ]
    samplers = [SlotSampler(5, torch.device("cpu"), use_kernel=use) for use in (False, True)]
    for sampler in samplers:
        for slot, rule in enumerate(rules):
            kept = constraint if slot == 3 else None
            sampler.start(slot, Request(id="r", prompt=(1,), max_tokens=9, sampling=rule, constraint=kept))
    for step in range(3):
        logits = torch.randn(4, 100, generator=torch.Generator().manual_seed(step)) * 3
        without, with_kernel = (sampler.choose(logits, [2, 3, 0, 1]) for sampler in samplers)
        assert with_kernel == without
    assert samplers[1]._uses_kernel
