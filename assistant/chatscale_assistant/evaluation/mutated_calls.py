"""Tool calls that must not run: expected writes of tau2's tasks, each changed in one way.

Each mutation begins with a write that the gate allows, so that the change is the only reason for a refusal. Where the
change is not about the confirmation, the mutated call carries a valid confirmation of itself. Deterministic for a seed.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chatscale_assistant.evaluation.mutation_base import Mutation, World
from chatscale_assistant.evaluation.mutation_kinds import KINDS
from chatscale_assistant.evaluation.retail_world import (
    Database,
    Task,
    allowed_writes,
    decide_read,
    decide_write,
    describe_tools,
    tool_server,
)
from chatscale_assistant.gate.confirmation import IsYes
from chatscale_assistant.gate.decisions import Allowed, Decision, Refused
from chatscale_assistant.gate.gate import Gate
from chatscale_assistant.gate.proposals import Signer
from chatscale_assistant.gate.servers import guard_server


@dataclass(frozen=True, slots=True)
class MutationReport:
    """The result of many mutations."""

    count: int
    breaches: tuple[Mutation, ...]
    kinds: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    """Refusals by reason."""


def retail_world(database: Database, tasks: Sequence[Task], is_yes: IsYes, *, seed: int = 0) -> World:
    """The world of tau2's retail tasks, with a gate of its own key."""
    tools = tuple(describe_tools(tasks))
    gate = Gate(Signer(bytes(range(32))), is_yes).with_server(guard_server(tool_server(), tools, ""))
    seeds = tuple(allowed_writes(gate, database, tasks))
    return World(gate, database, tools, seeds, random.Random(seed))  # noqa: S311 - the same calls every time


def mutate_calls(world: World, count: int) -> list[Mutation]:
    """`count` mutations; every kind equally often."""
    made: list[Mutation] = []
    while len(made) < count:
        for kind, mutate in KINDS.items():
            mutation = mutate(world, world.dice.choice(world.seeds))
            if len(made) < count:
                made.append(replace(mutation, kind=kind))
    return made


def try_mutations(database: Database, mutations: Sequence[Mutation]) -> MutationReport:
    """Pass each mutation through its gate. A breach is a call that the gate allows."""
    decisions = [(each, decide(database, each)) for each in mutations]
    return MutationReport(
        len(mutations),
        tuple(each for each, decision in decisions if isinstance(decision, Allowed)),
        dict(Counter(each.kind for each in mutations)),
        dict(Counter(str(decision.reason) for _, decision in decisions if isinstance(decision, Refused))),
    )


def decide(database: Database, mutation: Mutation) -> Decision:
    """The decision about one mutation."""
    if mutation.reads:
        return decide_read(mutation.gate, database, mutation.attempt)
    return decide_write(mutation.gate, database, mutation.attempt, mutation.now)
