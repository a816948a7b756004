"""Each row is sampled by its own rules and its own randomness, whatever its neighbours are."""

import pytest
import torch

from chatscale_server.engine.request import Sampling
from chatscale_server.engine.sampling import choose_tokens, penalise
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
        pytest.param(GREEDY, [-99, 99, -99, -99], id="greedy"),
    ],
)
def test_tokens_come_with_their_probabilities(rule, scores):
    expected = torch.softmax(torch.tensor(scores, dtype=torch.float64), dim=-1).tolist()
    assert tokens_over_the_unit_interval(rule) == pytest.approx(expected, abs=2e-3)


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    logits = torch.randn(6, 50)
    rules = [GREEDY, Sampling(), Sampling(top_k=5), Sampling(top_p=0.5), Sampling(temperature=2.0), Sampling(top_k=1)]
    uniforms = torch.rand(6, dtype=torch.float64)
    together = choose_tokens(logits, rules, uniforms).tolist()
    alone = [choose_tokens(logits[at : at + 1], [rules[at]], uniforms[at : at + 1]).item() for at in range(6)]
    assert together == alone


def test_penalties_and_bias_shift_the_logits_as_openai_defines_them():
    counts = torch.tensor([[0.0, 3.0, 1.0, 0.0]])
    rule = Sampling(presence_penalty=0.5, frequency_penalty=0.25, logit_bias=((0, 4.0), (3, -1.0)))
    assert penalise(LOGITS, [rule], counts).tolist() == [[5.0, 3 - 0.5 - 0.75, 2 - 0.5 - 0.25, -1.0]]
    assert LOGITS.tolist() == [[1.0, 3.0, 2.0, 0.0]]


def sampled(sampler: SlotSampler, slot: int, count: int) -> list[int]:
    logits = torch.zeros(1, 100)
    return [sampler.choose(logits.clone(), [slot])[slot] for _ in range(count)]


def test_the_same_seed_gives_the_same_tokens_in_any_slot():
    sampler = SlotSampler(3, torch.device("cpu"))
    answers = []
    for slot, seed in ((0, 7), (2, 7), (1, 8)):
        sampler.start(slot, Sampling(seed=seed))
        answers.append(sampled(sampler, slot, 8))
    assert answers[0] == answers[1] != answers[2]


def test_a_frequency_penalty_keeps_a_token_from_repeating():
    sampler = SlotSampler(1, torch.device("cpu"))
    sampler.start(0, Sampling(temperature=0.0, frequency_penalty=2.0))
    logits = torch.tensor([[2.0, 1.5, 1.0]])
    assert [sampler.choose(logits.clone(), [0])[0] for _ in range(4)] == [0, 1, 2, 0]
    sampler.start(0, GREEDY)
    assert sampler.choose(logits.clone(), [0]) == {0: 0}
