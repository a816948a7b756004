"""Workers of any kind: one pass at a time per object, coalesced wakes, backoff, and failures that stay separate."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import pytest
from prometheus_client import REGISTRY

from chatscale.desired.manifest import ObjectKey
from chatscale.errors import ClusterUnavailableError, ConflictError
from chatscale.reconcile.controller import CONFLICT_WAIT_S, FIRST_RETRY_S, LONGEST_RETRY_S, SETTLE_S, Controller
from tests.support.clock import virtual_time_loop

TINY, OTHER = ObjectKey("ChatModel", "demo", "tiny"), ObjectKey("ChatModel", "demo", "other")
GADGET = ObjectKey("Gadget", "demo", "tiny")
"""Another kind with the same name as `TINY`."""


class ScriptedReconciler:
    """Each pass runs the next step of its object's script; after the last it asks to come back in `tick` seconds."""

    def __init__(self, tick: float | None = 1000.0) -> None:
        self.tick = tick
        self.scripts: dict[ObjectKey, list[Exception | float | None]] = defaultdict(list)
        self.passes: list[tuple[ObjectKey, float]] = []
        self.pass_takes = 0.0
        self.running: set[ObjectKey] = set()

    async def reconcile(self, key: ObjectKey) -> float | None:
        assert key not in self.running, "two passes over one object at a time"
        self.running.add(key)
        self.passes.append((key, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.pass_takes)
        self.running.remove(key)
        step = self.scripts[key].pop(0) if self.scripts[key] else self.tick
        if isinstance(step, Exception):
            raise step
        return step

    def times(self, key: ObjectKey = TINY) -> list[float]:
        return [round(time, 3) for found, time in self.passes if found == key]


def play(
    reconciler: ScriptedReconciler,
    story: Callable[[Controller], Awaitable[None]],
    existing: Sequence[ObjectKey] = (),
    gadgets: ScriptedReconciler | None = None,
) -> Controller:
    """Run a controller with full jitter in virtual time while the story happens; then stop it."""

    async def main() -> Controller:
        reconcilers = {"ChatModel": reconciler, "Gadget": gadgets or reconciler}
        controller = Controller(reconcilers, jitter=lambda: 1.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(controller.run(existing))
            await asyncio.sleep(0)
            await story(controller)
            controller.stop()
        return controller

    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        return runner.run(main())


def test_passes_follow_the_objects_own_timer():
    reconciler = ScriptedReconciler(tick=10.0)

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(35)

    play(reconciler, story)
    assert reconciler.times() == [0, 10 + SETTLE_S, 20 + 2 * SETTLE_S, 30 + 3 * SETTLE_S]


def test_many_wakes_during_a_pass_cause_one_more():
    reconciler = ScriptedReconciler()
    reconciler.pass_takes = 1.0

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(0.5)
        for _ in range(100):
            controller.wake(TINY)
        await asyncio.sleep(100)

    play(reconciler, story)
    assert reconciler.times() == [0, 1 + SETTLE_S]


def test_objects_that_exist_at_the_start_get_a_pass_without_an_event():
    reconciler = ScriptedReconciler()

    async def story(_controller: Controller) -> None:
        await asyncio.sleep(5)

    play(reconciler, story, existing=[TINY, OTHER])
    assert reconciler.times(TINY) == reconciler.times(OTHER) == [0]


def test_two_kinds_run_side_by_side_each_with_its_own_reconciler():
    chatmodels, gadgets = ScriptedReconciler(tick=10.0), ScriptedReconciler(tick=4.0)
    chatmodels.scripts[TINY] = [RuntimeError("a bug")] * 100

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        controller.wake(GADGET)
        await asyncio.sleep(10)

    play(chatmodels, story, gadgets=gadgets)
    assert chatmodels.times(TINY) == [0, 1, 3, 7]
    assert gadgets.times(GADGET) == [0, 4 + SETTLE_S, 8 + 2 * SETTLE_S]
    assert {key for key, _ in gadgets.passes} == {GADGET}


def test_after_a_conflict_the_next_pass_waits_for_the_watch():
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [ConflictError("changed")]

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(20)
        controller.wake(TINY)
        await asyncio.sleep(5)

    play(reconciler, story)
    assert reconciler.times() == [0, 20]


def test_after_a_conflict_a_broken_watch_does_not_stop_the_passes():
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [ConflictError("changed")] * 2

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(100)

    play(reconciler, story)
    waits = CONFLICT_WAIT_S + SETTLE_S
    assert reconciler.times() == [0, waits, 2 * waits]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ClusterUnavailableError("HTTP 503"), id="unavailable"),
        pytest.param(RuntimeError("a bug"), id="bug"),
        pytest.param(
            ExceptionGroup("tasks", [ConflictError("changed"), ClusterUnavailableError("HTTP 503")]), id="a task group"
        ),
    ],
)
def test_a_failed_pass_is_tried_again_with_growing_delay(error: Exception):
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [error] * 4

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(100)

    play(reconciler, story)
    assert reconciler.times() == [0, 1, 3, 7, 15]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(ConflictError("c"), "conflict", id="conflict"),
        pytest.param(ExceptionGroup("g", [ConflictError("c")]), "conflict", id="conflict in a group"),
        pytest.param(
            ExceptionGroup("g", [ExceptionGroup("inner", [ClusterUnavailableError("u")]), ConflictError("c")]),
            "unavailable",
            id="unavailable in a nested group",
        ),
        pytest.param(
            ExceptionGroup("g", [ConflictError("c"), ValueError("b"), ClusterUnavailableError("u")]), "bug", id="a bug"
        ),
    ],
)
def test_the_errors_of_a_passs_task_group_keep_their_reaction(error: Exception, outcome: str):
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [error]

    def count() -> float:
        labels = {"kind": "ChatModel", "outcome": outcome}
        return REGISTRY.get_sample_value("chatscale_reconcile_total", labels) or 0.0

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(0.5)

    before = count()
    play(reconciler, story)
    assert count() - before == 1


def test_the_delay_is_bounded_and_success_resets_it():
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [*[ClusterUnavailableError("down")] * 12, 1.0, ClusterUnavailableError("down")]

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(600)

    play(reconciler, story)
    times = reconciler.times()
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    assert max(gaps) == LONGEST_RETRY_S
    assert gaps[-1] == FIRST_RETRY_S


def test_one_failing_object_does_not_delay_the_others():
    reconciler = ScriptedReconciler(tick=10.0)
    reconciler.scripts[TINY] = [RuntimeError("a bug")] * 100

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        controller.wake(OTHER)
        await asyncio.sleep(25)

    play(reconciler, story)
    assert len(reconciler.times(OTHER)) == 3


def test_a_deleted_object_has_no_worker_and_may_be_created_again():
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [None]

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(5)
        controller.wake(TINY)
        await asyncio.sleep(5)

    play(reconciler, story)
    assert reconciler.times() == [0, 5]


def test_an_object_recreated_while_its_last_pass_ends_is_not_lost():
    reconciler = ScriptedReconciler()
    reconciler.scripts[TINY] = [None]

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        await asyncio.sleep(SETTLE_S / 2)
        controller.wake(TINY)
        await asyncio.sleep(5)

    play(reconciler, story)
    assert reconciler.times() == [0, SETTLE_S]


def test_stopping_ends_all_workers_at_once():
    reconciler = ScriptedReconciler()
    reconciler.pass_takes = 1e6

    async def story(controller: Controller) -> None:
        controller.wake(TINY)
        controller.wake(OTHER)
        await asyncio.sleep(1)

    controller = play(reconciler, story)
    assert not controller.is_running
    controller.wake(TINY)
    assert len(reconciler.passes) == 2
