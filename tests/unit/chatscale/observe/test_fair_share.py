"""Places shared out between ChatModels: bounded, fair, and never lost."""

import asyncio

import pytest

from chatscale.observe.fair_share import FairShare


class Work:
    """Tasks that hold a place each until they may finish."""

    def __init__(self, share: FairShare, group: asyncio.TaskGroup) -> None:
        self.share, self.group = share, group
        self.running: list[str] = []
        self.may_finish: dict[str, asyncio.Event] = {}

    def start(self, name: str) -> "asyncio.Task[None]":
        """`name` is the owner and a number, as in a1."""
        self.may_finish[name] = asyncio.Event()
        return self.group.create_task(self._hold(name))

    async def _hold(self, name: str) -> None:
        async with self.share.place(name[0]):
            self.running.append(name)
            try:
                await self.may_finish[name].wait()
            finally:
                self.running.remove(name)

    async def finish(self, *names: str) -> None:
        for name in names:
            self.may_finish[name].set()
        await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("started", "running"),
    [
        pytest.param("a1 a2 a3", "a1 a2", id="at most two of one owner"),
        pytest.param("a1 a2 a3 b1 b2", "a1 a2 b1", id="at most three in all"),
        pytest.param("a1 b1 c1 d1", "a1 b1 c1", id="first come, first served among equals"),
    ],
)
async def test_places_are_bounded_in_all_and_for_each_owner(started: str, running: str):
    async with asyncio.TaskGroup() as group:
        work = Work(FairShare(total=3, each=2), group)
        for name in started.split():
            work.start(name)
        await settle()
        assert work.running == running.split()
        for event in work.may_finish.values():
            event.set()


async def test_a_freed_place_goes_to_the_waiting_owner_that_holds_the_fewest():
    async with asyncio.TaskGroup() as group:
        work = Work(FairShare(total=3, each=3), group)
        for name in ["a1", "a2", "a3", "a4", "a5", "b1", "c1"]:
            work.start(name)
        await settle()
        await work.finish("a1")
        assert work.running == ["a2", "a3", "b1"]
        await work.finish("a2")
        assert work.running == ["a3", "b1", "c1"]
        await work.finish("a3", "b1", "c1")
        assert work.running == ["a4", "a5"]
        await work.finish("a4", "a5")


async def test_a_cancelled_wait_does_not_lose_a_place():
    async with asyncio.TaskGroup() as group:
        work = Work(FairShare(total=1, each=1), group)
        work.start("a1")
        await settle()
        waiting, granted = work.start("b1"), work.start("c1")
        await settle()
        waiting.cancel()
        await work.finish("a1")
        assert work.running == ["c1"]
        granted.cancel()
        work.start("d1")
        await settle()
        assert work.running == ["d1"]
        await work.finish("d1")


async def test_a_turn_that_is_cancelled_while_it_is_granted_gives_the_place_back():
    async with asyncio.TaskGroup() as group:
        work = Work(FairShare(total=1, each=1), group)
        work.start("a1")
        await settle()
        late = work.start("b1")
        await settle()
        work.may_finish["a1"].set()
        await asyncio.sleep(0)
        late.cancel()
        work.start("c1")
        await settle()
        assert work.running == ["c1"]
        await work.finish("c1")
