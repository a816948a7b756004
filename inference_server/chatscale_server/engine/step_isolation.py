"""Finds the requests that make a batched step fail, so that the others continue. Pure.

A step has no side effect on a request until it returns, except that it writes the same keys and values again
(`Engine.step`). A failed step can therefore be repeated with a part of its rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from chatscale_server.engine.sequence import Chunk, Sequence, StepPlan

STEPS_PER_HALVING: Final = 4
"""Steps until parts of the batch are no longer halved, in multiples of the halvings of the batch. To find one request
takes two per halving. If more requests fail than the limit allows to tell apart, whole parts of the batch fail."""


@dataclass(slots=True)
class StepOutcome:
    """The result of a step and its repetitions."""

    tokens: dict[int, int] = field(default_factory=dict)
    """The next token by slot, as from `Engine.step`."""
    failed: list[Sequence] = field(default_factory=list)
    """Sequences whose part of the step raised an error."""
    error: Exception | None = None
    """The last error that a sequence failed with."""


def run_isolated(step: Callable[[StepPlan], Mapping[int, int]], plan: StepPlan) -> StepOutcome:
    """Run the step; after an error repeat it with half of its rows each, down to the rows that fail alone."""
    outcome = StepOutcome()
    parts = [plan] if plan.batch_size else []
    steps_left = STEPS_PER_HALVING * plan.batch_size.bit_length()
    while parts:
        part = parts.pop()
        steps_left -= 1
        try:
            outcome.tokens |= step(part)
        except Exception as error:  # noqa: BLE001 - an engine can raise any error, and it must not end the replica
            if part.batch_size > 1 and steps_left > 0:
                parts += reversed(_halves(part))
            else:
                outcome.error = error
                outcome.failed += _sequences(part)
    failed = {sequence.slot for sequence in outcome.failed}
    for sequence in yielding(plan):
        if sequence.slot not in outcome.tokens and sequence.slot not in failed:
            outcome.error = LookupError("the step returned no token")
            outcome.failed.append(sequence)
    return outcome


def yielding(plan: StepPlan) -> list[Sequence]:
    """Sequences that get a token in this step."""
    return [*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)]


def without(plan: StepPlan, failed: list[Sequence]) -> StepPlan:
    """The plan without the rows of these sequences."""
    return replace(
        plan,
        decodes=tuple(sequence for sequence in plan.decodes if sequence not in failed),
        chunks=tuple(chunk for chunk in plan.chunks if chunk.sequence not in failed),
    )


def _sequences(plan: StepPlan) -> list[Sequence]:
    return [*plan.decodes, *(chunk.sequence for chunk in plan.chunks)]


def _halves(plan: StepPlan) -> list[StepPlan]:
    """Two plans with half of the rows each. Decodes come first, so that streams are separated from prompts."""
    rows: list[Sequence | Chunk] = [*plan.decodes, *plan.chunks]
    middle = len(rows) // 2
    return [
        StepPlan(
            decodes=tuple(row for row in half if isinstance(row, Sequence)),
            chunks=tuple(row for row in half if isinstance(row, Chunk)),
        )
        for half in (rows[:middle], rows[middle:])
    ]
