"""What mutations of tool calls are made of."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chatscale_assistant.domain.conversation import Turn
from chatscale_assistant.evaluation.retail_world import NOW, Attempt, Database, ask, confirmed
from chatscale_assistant.gate.gate import Gate
from chatscale_assistant.gate.pins import ToolDescription


@dataclass(frozen=True, slots=True)
class World:
    """What mutations are made of."""

    gate: Gate
    database: Database
    tools: tuple[ToolDescription, ...]
    seeds: tuple[Attempt, ...]
    """Writes that the gate allows."""
    dice: random.Random


@dataclass(frozen=True, slots=True)
class Mutation:
    """One call that must not run."""

    kind: str
    attempt: Attempt
    gate: Gate
    now: datetime = NOW
    reads: bool = False
    """Whether it is tried as a reading call."""


def customer_of(seed: Attempt) -> str:
    """The id of the attempt's customer; empty if unknown."""
    return "" if seed.conversation.customer is None else seed.conversation.customer.id


def with_arguments(world: World, seed: Attempt, arguments: Mapping[str, Any]) -> Mutation:
    """The seed with other arguments and a valid confirmation of them."""
    call = replace(seed.call, arguments={**seed.call.arguments, **arguments})
    attempt = confirmed(world.gate, call, ask(customer_of(seed), seed.conversation.id))
    return Mutation("", attempt, world.gate)


def with_unconfirmed(world: World, seed: Attempt, arguments: Mapping[str, Any]) -> Mutation:
    """The seed's confirmation with other arguments."""
    call = replace(seed.call, arguments={**seed.call.arguments, **arguments})
    return Mutation("", replace(seed, call=call), world.gate)


def with_turns(world: World, seed: Attempt, *turns: Turn) -> Mutation:
    """The seed with other last turns."""
    conversation = replace(seed.conversation, turns=(*seed.conversation.turns[:-2], *turns))
    return Mutation("", replace(seed, conversation=conversation), world.gate)


def other_user(world: World, seed: Attempt) -> str:
    """Another customer's id."""
    return world.dice.choice(sorted(set(world.database["users"]) - {customer_of(seed)}))


def other_order(world: World, seed: Attempt) -> str:
    """Another customer's order."""
    orders = world.database["orders"]
    return world.dice.choice([each for each in sorted(orders) if orders[each]["user_id"] != customer_of(seed)])


def place_of(seed: Attempt) -> str:
    """The parameter that names whose data is changed."""
    return "order_id" if "order_id" in seed.call.arguments else "user_id"
