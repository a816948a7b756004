"""When the next pass over a ChatModel, and its next plan, are due if nothing changes before. Pure."""

from typing import Final

from chatscale.api.v1alpha1 import ChatModel
from chatscale.reconcile.chatmodel.memory import Memory
from chatscale.reconcile.chatmodel.pass_result import PassResult
from chatscale.reconcile.chatmodel.resolution import Resolution
from chatscale.reconcile.chatmodel.updates import UpdateState

REFUSED_RETRY_S: Final = 60.0
"""After a refusal. Its cause can be outside the spec, such as a quota or a name that is taken."""
RESYNC_S: Final = 600.0
"""Maximum time between two full passes. They cost no requests, and repair whatever an event should have caused."""
UPDATE_CHECK_S: Final = 30.0
"""Maximum time between two plans of a ChatModel whose update waits or runs. Usually something wakes it before."""
MIN_WAIT_S: Final = 1.0
"""Minimum wait for the start or end of an announced event."""


def plan_again_in_s(memory: Memory) -> float:
    """Seconds after a plan until the next one."""
    if memory.refusal:
        return REFUSED_RETRY_S
    return UPDATE_CHECK_S if memory.update and memory.update.state is not UpdateState.NONE else RESYNC_S


def due_in_s(chatmodel: ChatModel, resolution: Resolution, result: PassResult, memory: Memory) -> float:
    """Seconds until the next pass.

    Without a decision to make or a ready pod to scrape, there is no tick.
    """
    waits_s = [RESYNC_S, plan_again_in_s(memory)]
    may_sleep = chatmodel.spec.autoscaling.scale_to_zero is not None
    if resolution.decision is not None or result.ready or may_sleep:
        waits_s.append(float(chatmodel.spec.autoscaling.source.interval_seconds))
    if result.refusal is not None:
        waits_s.append(REFUSED_RETRY_S)
    if resolution.floor.due_in is not None:
        waits_s.append(max(resolution.floor.due_in.total_seconds(), MIN_WAIT_S))
    return min(waits_s)
