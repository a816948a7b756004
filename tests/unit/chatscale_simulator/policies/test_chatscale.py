"""What Chatscale's policy gets from a simulated gateway: the same signals as the operator gives it."""

from dataclasses import replace

import numpy as np

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale.scaling.signals import ClientCounters, ClientDemand, Observation
from chatscale_simulator.policies.chatscale import ChatscalePolicy
from chatscale_simulator.simulation.snapshot import ClientColumn, GatewayReading, MetricsSnapshot
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot


def observed(snapshot: MetricsSnapshot) -> Observation:
    return ChatscalePolicy(AutoscalingSpec(max_replicas=4), 8).observe(snapshot)


def ready(now_s: float) -> MetricsSnapshot:
    return replace(a_snapshot(now_s).with_ready(2).build(), created_s=np.zeros(2))


def test_the_policy_gets_what_the_gateway_counts() -> None:
    counters = np.arange(1.0, len(ClientColumn) + 1)
    reading = GatewayReading(held=3, held_prompt_tokens=900, in_flight=5, oldest_held_s=1.5, counters=counters)

    seen = observed(replace(ready(60.0), gateway=reading))

    assert seen.clients == ClientDemand(
        taken_at=seen.taken_at,
        gateways=2,
        is_current=True,
        held=3,
        held_prompt_tokens=900,
        in_flight=5,
        oldest_held_s=1.5,
        counters=ClientCounters(
            arrived=1, sent=2, finished=3, refused=4, prompt_tokens=5, generated_tokens=6, slo_misses=7, wake_misses=8
        ),
    )


def test_without_a_gateway_the_metrics_of_the_replicas_remain() -> None:
    seen = observed(ready(60.0))

    assert seen.clients is None
    assert len(seen.replicas) == 2
