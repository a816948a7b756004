"""A small world for tests of the gateway's core: catalogs, arrivals, a dispatcher on a clock of the test."""

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.server.load import ReplicaLoad
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.dispatch.events import DispatchEvents
from chatscale_gateway.dispatch.interface import Arrival
from chatscale_gateway.keys.caller import ANYBODY, Caller
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from tests.support.clock import virtual_time_loop

TINY = ModelKey("demo", "tiny")
CREATED = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


def a_model(key: ModelKey = TINY, *, served_name: str | None = None, routing: RoutingSpec | None = None,
            replicas: int = 1, scale_to_zero: bool = True, start_s: float | None = None) -> Model:  # fmt: skip
    """A ChatModel."""
    return Model(
        key=key,
        uid=f"uid-{key}",
        served_name=served_name or key.name,
        weights=f"hf://test/{key.name}@main",
        created=CREATED,
        routing=routing or RoutingSpec(),
        slo=LatencyObjectives(),
        replicas=replicas,
        scale_to_zero=scale_to_zero,
        start_s=start_s,
    )


def a_replica(uid: str, *, ready: bool = True, leaving: bool = False, name: str | None = None) -> Replica:
    """A pod."""
    return Replica(uid=uid, name=name or uid, address="127.0.0.1", port=8000, ready=ready, leaving=leaving)


def a_catalog(pods: Mapping[str, int], **fields: Any) -> Catalog:
    """Models of namespace demo with their number of ready pods; UIDs are tiny-0, tiny-1, ... `fields`: of `a_model`."""
    keys = {ModelKey("demo", name): count for name, count in pods.items()}
    return Catalog(
        models={key: a_model(key, **fields) for key in keys},
        replicas={key: tuple(a_replica(f"{key.name}-{n}") for n in range(count)) for key, count in keys.items()},
    )


def an_arrival(model: ModelKey = TINY, *, arrived_s: float = 0.0, prompt_tokens: int = 10, body_bytes: int = 100,
               streamed: bool = True, prefix: bytes = b"", session: str = "",
               caller: Caller = ANYBODY) -> Arrival:  # fmt: skip
    """An admitted request."""
    return Arrival(model, body_bytes, prompt_tokens, streamed, arrived_s, prefix, session, caller)


def slots(count: int, *uids: str, running: int = 0) -> dict[str, ReplicaLoad | None]:
    """A reading in which every pod has the same load."""
    return {uid: ReplicaLoad(running=running, waiting=0, slots=count) for uid in uids}


def a_dispatcher(
    *,
    now: Callable[[], float],
    gateway: str = "gateway-0",
    max_held_bytes: int = 10**9,
    events: DispatchEvents | None = None,
    seed: int = 1,
) -> HoldingDispatcher:
    """A dispatcher without models."""
    return HoldingDispatcher(
        gateway=gateway, instance="i1", now=now, rng=random.Random(seed), max_held_bytes=max_held_bytes, events=events
    )


def virtual_time(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run an async test on a loop whose time starts at 0 and jumps over every wait."""

    @functools.wraps(test)
    def run(*args: object, **fields: object) -> None:
        with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
            runner.run(test(*args, **fields))

    return run
