"""A failing request is found with few repetitions, and no other request is computed twice or lost."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.scheduler import Chunk, Sequence, StepPlan
from chatscale_server.engine.step_isolation import STEPS_PER_HALVING, run_isolated
from tests.unit.chatscale_server.builders import a_request


def a_plan(decodes: int, chunks: int) -> StepPlan:
    sequences = [Sequence(a_request(str(slot)), slot) for slot in range(decodes + chunks)]
    return StepPlan(
        decodes=tuple(sequences[:decodes]), chunks=tuple(Chunk(sequence, 0, 3) for sequence in sequences[decodes:])
    )


class Computer:
    """Fails if a step has one of the offending slots."""

    def __init__(self, offenders: set[int]) -> None:
        self.offenders = offenders
        self.steps = 0
        self.computed: list[int] = []

    def step(self, plan: StepPlan) -> Mapping[int, int]:
        self.steps += 1
        slots = [*(one.slot for one in plan.decodes), *(chunk.sequence.slot for chunk in plan.chunks)]
        if self.offenders & set(slots):
            raise RuntimeError("offended")
        self.computed += slots
        return {slot: 100 + slot for slot in slots}


@given(decodes=st.integers(0, 70), chunks=st.integers(0, 70), data=st.data())
def test_one_offender_in_any_batch_fails_alone(decodes, chunks, data):
    rows = decodes + chunks
    offenders = set(data.draw(st.lists(st.integers(0, max(rows - 1, 0)), max_size=1))) if rows else set()
    computer = Computer(offenders)
    outcome = run_isolated(computer.step, a_plan(decodes, chunks))
    assert {sequence.slot for sequence in outcome.failed} == offenders
    assert outcome.tokens == {slot: 100 + slot for slot in range(rows) if slot not in offenders}
    assert sorted(computer.computed) == sorted(set(range(rows)) - offenders)
    assert (outcome.error is None) == (not offenders)


@given(rows=st.integers(1, 300), offenders=st.sets(st.integers(0, 299)))
def test_the_repetitions_are_bounded_and_every_request_ends_in_one_way(rows, offenders):
    computer = Computer(offenders)
    outcome = run_isolated(computer.step, a_plan(rows, 0))
    failed = {sequence.slot for sequence in outcome.failed}
    assert computer.steps <= 2 * STEPS_PER_HALVING * rows.bit_length()
    assert failed >= offenders & set(range(rows))
    assert failed | set(outcome.tokens) == set(range(rows))
    assert not failed & set(outcome.tokens)


def test_without_an_error_the_plan_is_computed_as_it_is():
    plan, seen = a_plan(2, 2), []

    def step(plan: StepPlan) -> Mapping[int, int]:
        seen.append(plan)
        return dict.fromkeys(range(4), 1)

    run_isolated(step, plan)
    assert seen == [plan]


def test_an_empty_plan_is_not_computed():
    assert run_isolated(Computer(set()).step, StepPlan()).tokens == {}


def test_a_sequence_without_a_token_has_failed():
    outcome = run_isolated(lambda _plan: {0: 7}, a_plan(2, 0))
    assert (outcome.tokens, [sequence.slot for sequence in outcome.failed]) == ({0: 7}, [1])
