"""Each row is sampled by its own rules and its own randomness, whatever its neighbours are."""

import math
from dataclasses import replace
from weakref import ref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from chatscale_server.engine.request import Constraint, Request, Sampling, Score
from chatscale_server.engine.sampling import BLOCK, choose_tokens, greedy, penalise, score_tokens
from chatscale_server.engine.slot_sampler import SlotSampler

LOGITS = torch.tensor([[1.0, 3.0, 2.0, 0.0]])
GREEDY = Sampling(temperature=0.0)


def tokens_over_the_unit_interval(rule: Sampling, steps: int = 1000) -> list[float]:
    """Share of each token when the uniform number runs evenly through [0, 1)."""
    uniforms = torch.arange(steps, dtype=torch.float64) / steps
    chosen = choose_tokens(LOGITS.repeat(steps, 1), [rule] * steps, uniforms)
    return (torch.bincount(chosen, minlength=4) / steps).tolist()


@pytest.mark.parametrize(
    ("rule", "scores"),
    [
        pytest.param(Sampling(), [1.0, 3.0, 2.0, 0.0], id="plain"),
        pytest.param(Sampling(temperature=0.5), [2.0, 6.0, 4.0, 0.0], id="temperature"),
        pytest.param(Sampling(top_k=2), [-99, 3.0, 2.0, -99], id="top-k"),
        pytest.param(Sampling(top_k=1), [-99, 3.0, -99, -99], id="top-1"),
        pytest.param(Sampling(top_p=0.8), [-99, 3.0, 2.0, -99], id="top-p"),
        pytest.param(Sampling(top_p=0.01), [-99, 3.0, -99, -99], id="tiny-top-p"),
        pytest.param(Sampling(top_k=3, top_p=0.95), [1.0, 3.0, 2.0, -99], id="top-p-after-top-k"),
        pytest.param(Sampling(min_p=0.3), [-99, 3.0, 2.0, -99], id="min-p"),
        pytest.param(Sampling(min_p=1.0), [-99, 3.0, -99, -99], id="the-likeliest-only"),
        pytest.param(Sampling(min_p=0.1, top_k=3, top_p=0.99), [1.0, 3.0, 2.0, -99], id="all-filters"),
        pytest.param(GREEDY, [-99, 99, -99, -99], id="greedy"),
    ],
)
def test_tokens_come_with_their_probabilities(rule, scores):
    expected = torch.softmax(torch.tensor(scores, dtype=torch.float64), dim=-1).tolist()
    assert tokens_over_the_unit_interval(rule) == pytest.approx(expected, abs=2e-3)


def transformers_probabilities(logits: torch.Tensor, rule: Sampling) -> torch.Tensor:
    """What transformers' own warpers make of the logits, in the order in which `generate` applies them."""
    warpers = [TemperatureLogitsWarper(rule.temperature)]
    warpers += [TopKLogitsWarper(rule.top_k)] if rule.top_k else []
    warpers += [TopPLogitsWarper(rule.top_p)] if rule.top_p < 1 else []
    warpers += [MinPLogitsWarper(rule.min_p)] if rule.min_p else []
    return LogitsProcessorList(warpers)(None, logits.double()).softmax(-1)[0]


rules = st.builds(
    Sampling,
    temperature=st.floats(0.05, 3),
    top_k=st.sampled_from([0, 1, 2, 40, 255, 700, 5000]),
    top_p=st.sampled_from([0.001, 0.3, 0.9, 0.999, 1.0]),
    min_p=st.sampled_from([0.0, 1e-4, 0.05, 0.9]),
)


@given(
    rule=rules,
    seed=st.integers(0, 1000),
    sharpness=st.sampled_from([0.0, 0.5, 4.0]),
    vocab=st.sampled_from([7, BLOCK, 900]),
)
@settings(max_examples=150)
def test_tokens_are_drawn_from_transformers_distribution(rule, seed, sharpness, vocab):
    """Each uniform number falls into the piece of [0, 1) that transformers' probability gives its token.

    The logits differ, because transformers removes some of the tokens that are equal to the last kept one.
    """
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, vocab, generator=generator) * sharpness + torch.randperm(vocab, generator=generator) * 1e-6
    expected = transformers_probabilities(logits, rule)
    steps = 64
    uniforms = torch.linspace(0, 1 - 1e-9, steps, dtype=torch.float64)
    chosen = choose_tokens(logits.repeat(steps, 1), [rule] * steps, uniforms)
    upper = expected.cumsum(0)
    lower = upper - expected
    assert (expected[chosen] > 0).all()
    assert (lower[chosen] <= uniforms + 1e-6).all()
    assert (uniforms <= upper[chosen] + 1e-6).all()


@pytest.mark.parametrize("rule", [Sampling(top_k=2), Sampling(top_p=0.9), Sampling(min_p=0.1)])
def test_tokens_as_likely_as_the_last_kept_one_are_kept(rule):
    logits = torch.tensor([[2.0, 0.0, 4.0, 2.0]]).repeat(3, 1)
    uniforms = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
    assert choose_tokens(logits, [rule] * 3, uniforms).tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    "rule", [GREEDY, Sampling(), Sampling(top_k=3), Sampling(top_p=0.9), Sampling(temperature=1e-4)]
)
def test_a_token_that_is_not_allowed_is_never_chosen(rule):
    logits = torch.full((3, 900), -math.inf)
    logits[:, 700] = -4.0
    uniforms = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert choose_tokens(logits, [rule] * 3, uniforms).tolist() == [700] * 3


@pytest.mark.parametrize("rule", [Sampling(), Sampling(top_p=0.9)])
@pytest.mark.parametrize("value", [-math.inf, math.inf])
def test_a_row_without_a_finite_maximum_gets_the_token_of_a_greedy_row(rule, value):
    logits = torch.stack([torch.full((4,), value), LOGITS[0]])
    chosen = choose_tokens(logits, [rule] * 2, torch.tensor([0.9, 0.5], dtype=torch.float64))
    assert chosen.tolist() == [0, 1]


def test_equal_logits_give_a_greedy_row_the_lowest_token():
    assert greedy(torch.tensor([[1.0, 3.0, 3.0]])).tolist() == [1]
    assert greedy(torch.tensor([[1.0, 3.0, 3.0]], dtype=torch.bfloat16)).tolist() == [1]


@given(penalty=st.floats(0.1, 5), seed=st.integers(0, 1000), said=st.lists(st.integers(0, 19), min_size=1, max_size=30))
def test_the_repetition_penalty_is_transformers_own(penalty, seed, said):
    logits = torch.randn(1, 20, generator=torch.Generator().manual_seed(seed))
    seen = torch.zeros(1, 20, dtype=torch.bool)
    seen[0, said] = True
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([said]), logits.clone())
    assert torch.equal(penalise(logits, [Sampling(repetition_penalty=penalty)], None, seen), expected)


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    logits = torch.randn(8, 2000)
    rules = [GREEDY, Sampling(), Sampling(top_k=5), Sampling(top_p=0.5), Sampling(temperature=2.0), Sampling(top_k=1),
             Sampling(min_p=0.3), Sampling(top_k=1000, top_p=0.999)]  # fmt: skip
    uniforms = torch.rand(8, dtype=torch.float64)
    together = choose_tokens(logits, rules, uniforms).tolist()
    alone = [choose_tokens(logits[at : at + 1], [rules[at]], uniforms[at : at + 1]).item() for at in range(8)]
    assert together == alone


def test_penalties_and_bias_shift_the_logits_as_openai_defines_them():
    counts = torch.tensor([[0.0, 3.0, 1.0, 0.0]])
    rule = Sampling(presence_penalty=0.5, frequency_penalty=0.25, logit_bias=((0, 4.0), (3, -1.0)))
    assert penalise(LOGITS, [rule], counts, None).tolist() == [[5.0, 3 - 0.5 - 0.75, 2 - 0.5 - 0.25, -1.0]]
    assert LOGITS.tolist() == [[1.0, 3.0, 2.0, 0.0]]


def test_a_penalty_leaves_rows_without_one_as_they_are():
    rows = [Sampling(repetition_penalty=2.0), Sampling()]
    both = penalise(LOGITS.repeat(2, 1), rows, None, torch.tensor([[True] * 4, [False] * 4]))
    assert both.tolist() == [[0.5, 1.5, 1.0, 0.0], [1.0, 3.0, 2.0, 0.0]]


def test_scores_are_logarithms_of_raw_probabilities():
    both = LOGITS.repeat(2, 1)
    whole = torch.softmax(both[0], -1).log().tolist()
    first, second = score_tokens(both, torch.tensor([0, 1]), [2, 0])
    assert (first.token, first.logprob, [token for token, _ in first.top]) == (0, pytest.approx(whole[0]), [1, 2])
    assert [logprob for _, logprob in first.top] == pytest.approx([whole[1], whole[2]])
    assert second == Score(1, pytest.approx(whole[1]))


def sampled(sampler: SlotSampler, slot: int, count: int) -> list[int]:
    logits = torch.zeros(1, 100)
    return [sampler.choose(logits.clone(), [slot])[slot] for _ in range(count)]


def a_sampler(sampling: Sampling, slots: int = 1, **fields: object) -> SlotSampler:
    sampler = SlotSampler(slots, torch.device("cpu"))
    sampler.start(0, Request(id="r", max_tokens=9, sampling=sampling, **{"prompt": (1, 2), **fields}))  # type: ignore[arg-type]
    return sampler


def test_the_same_seed_gives_the_same_tokens_in_any_slot():
    sampler = SlotSampler(3, torch.device("cpu"))
    answers = []
    for slot, seed in ((0, 7), (2, 7), (1, 8)):
        sampler.start(slot, Request(id="r", prompt=(1,), max_tokens=9, sampling=Sampling(seed=seed)))
        answers.append(sampled(sampler, slot, 8))
    assert answers[0] == answers[1] != answers[2]


def test_random_numbers_are_those_of_the_requests_generator_one_for_each_token():
    """More tokens than random numbers are drawn at once."""
    generator = torch.Generator().manual_seed(7)
    one_by_one = [torch.rand((), generator=generator, dtype=torch.float64).item() for _ in range(150)]
    assert sampled(a_sampler(Sampling(seed=7)), 0, 150) == [int(number * 100) for number in one_by_one]


def test_a_repeated_step_chooses_the_same_tokens():
    """A step that fails has changed nothing: neither random numbers nor counts."""
    rule = Sampling(seed=3, frequency_penalty=0.5, repetition_penalty=1.2)
    calm, failing = a_sampler(rule, slots=2), a_sampler(rule, slots=2)
    # Scores are computed last, and -1 of them cannot be.
    failing.start(1, Request(id="r", prompt=(1,), max_tokens=9, sampling=GREEDY, top_logprobs=-1))
    logits = torch.randn(10, 2, 100, generator=torch.Generator().manual_seed(1))
    for step in logits:
        with pytest.raises(RuntimeError, match="out of range"):
            failing.choose(step, [0, 1])
        assert failing.choose(step[:1], [0]) == calm.choose(step[:1], [0])


def test_tokens_found_before_are_used_only_where_every_row_takes_its_largest_logit():
    found = torch.tensor([3])
    for rule in (GREEDY, Sampling(temperature=0.0, seed=1)):
        assert a_sampler(rule).choose(LOGITS, [0], found) == {0: 3}
    changed = [Sampling(top_k=1), replace(GREEDY, logit_bias=((0, 9.0),)), replace(GREEDY, repetition_penalty=9.0)]
    assert [a_sampler(rule).choose(LOGITS, [0], found)[0] for rule in changed] == [1, 0, 0]
    constraint = Alternating()
    assert a_sampler(GREEDY, constraint=constraint).choose(LOGITS, [0], found) == {0: 0}


def test_rows_that_were_found_before_are_scored_too():
    sampler = a_sampler(GREEDY, top_logprobs=0)
    assert sampler.choose(LOGITS, [0], torch.tensor([3])) == {0: 3}
    assert sampler.scores == {0: Score(3, pytest.approx(math.log(torch.softmax(LOGITS[0], -1)[3].item())))}


def test_a_frequency_penalty_keeps_a_token_from_repeating():
    sampler = a_sampler(Sampling(temperature=0.0, frequency_penalty=2.0))
    logits = torch.tensor([[2.0, 1.5, 1.0]])
    assert [sampler.choose(logits.clone(), [0])[0] for _ in range(4)] == [0, 1, 2, 0]
    sampler.start(0, Request(id="next", prompt=(1,), max_tokens=9, sampling=GREEDY))
    assert sampler.choose(logits.clone(), [0]) == {0: 0}


def test_a_repetition_penalty_counts_prompt_and_answer():
    sampler = a_sampler(Sampling(temperature=0.0, repetition_penalty=10.0), prompt=(0,))
    logits = torch.tensor([[4.0, 3.0, 2.0, 0.5]])
    assert [sampler.choose(logits.clone(), [0])[0] for _ in range(4)] == [1, 2, 3, 0]
    sampler.start(0, Request(id="next", prompt=(0,), max_tokens=9, sampling=GREEDY))
    assert sampler.choose(logits.clone(), [0]) == {0: 0}


def test_only_rows_that_ask_are_scored():
    sampler = a_sampler(GREEDY, slots=2, top_logprobs=1)
    sampler.start(1, Request(id="r", prompt=(1,), max_tokens=9, sampling=GREEDY))
    sampler.choose(LOGITS.repeat(2, 1), [1, 0])
    logprob = math.log(torch.softmax(LOGITS[0], -1)[1].item())
    assert sampler.scores == {0: Score(1, pytest.approx(logprob), ((1, pytest.approx(logprob)),))}
    sampler.start(0, Request(id="next", prompt=(1,), max_tokens=9, sampling=GREEDY))
    assert sampler.scores == {}


class Alternating(Constraint):
    """Token 0, then 3, then 0 again; breaks at anything else."""

    problem = None

    def __init__(self) -> None:
        self.said: list[int] = []

    def allowed(self) -> bytes:
        return bytes([0, 0, 0, 1] if len(self.said) % 2 else [1, 0, 0])

    def accept(self, token: int) -> None:
        self.said.append(token)


@pytest.mark.parametrize("rule", [GREEDY, Sampling(seed=1), Sampling(top_k=2), Sampling(logit_bias=((1, 100.0),))])
def test_a_constraint_leaves_nothing_else_to_choose(rule):
    """A mask that is shorter than the vocabulary allows nothing beyond its end."""
    constraint = Alternating()
    sampler = a_sampler(rule, constraint=constraint)
    assert [sampler.choose(LOGITS.clone(), [0])[0] for _ in range(4)] == [0, 3, 0, 3]
    assert constraint.said == [0, 3, 0, 3]


def test_a_constraint_goes_with_its_request():
    constraint = Alternating()
    sampler = a_sampler(GREEDY, constraint=constraint)
    sampler.choose(LOGITS.clone(), [0])
    left = ref(constraint)
    del constraint
    assert left() is None
    assert sampler.choose(LOGITS.clone(), [0]) == {0: int(LOGITS.argmax())}
