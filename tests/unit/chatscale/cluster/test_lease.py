"""One process at a time writes: the Lease is renewed, lost, taken over and given up, in virtual time."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from chatscale.cluster.guarded import Guarded
from chatscale.cluster.interface import LEASE, SERVICE, Kind
from chatscale.cluster.lease import LEASE_S, RENEW_EVERY_S, WRITE_FOR_S, Lease
from chatscale.errors import ClusterUnavailableError, ConflictError, ForbiddenError, NotFoundError
from tests.support.builders import START, Manifest
from tests.support.clock import FakeClock, virtual_time_loop
from tests.support.fake_cluster import FakeCluster


class Partitionable(FakeCluster):
    """The fake cluster through a network of one process, which a test can cut."""

    def __init__(self, shared: FakeCluster) -> None:
        super().__init__()
        self.shared = shared
        self.is_cut = False
        self.takes_s = 0.0
        self.written_at: list[float] = []

    async def _pass_network(self) -> None:
        await asyncio.sleep(self.takes_s)
        if self.is_cut:
            # Packets get lost; a deadline of the caller ends the wait.
            await asyncio.Event().wait()

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        await self._pass_network()
        return await self.shared.get(kind, namespace, name)

    async def create(self, manifest: Manifest) -> Manifest:
        await self._pass_network()
        return await self.shared.create(manifest)

    async def replace(self, manifest: Manifest) -> Manifest:
        await self._pass_network()
        return await self.shared.replace(manifest)

    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        await self._pass_network()
        self.written_at.append(now())
        return await self.shared.apply(manifest, manager)


class Process:
    """One operator process that writes twice a second whenever it may."""

    def __init__(self, shared: FakeCluster, identity: str, clock: FakeClock | None = None) -> None:
        self.network = Partitionable(shared)
        self.lease = Lease(self.network, "demo", "chatscale-operator", identity, clock or FakeClock())
        self.cluster = Guarded(self.network, self.lease)

    async def write(self) -> None:
        meta = {"name": "tiny", "namespace": "demo"}
        await self.cluster.apply({"kind": "Service", "metadata": meta, "spec": {"writer": str(now())}}, "chatscale")

    async def run(self) -> None:
        """Until cancelled."""
        async with self.lease.kept():
            while True:
                with suppress(ClusterUnavailableError):
                    await self.write()
                await asyncio.sleep(0.5)

    @property
    def written_at(self) -> list[float]:
        return self.network.written_at


def now() -> float:
    return asyncio.get_running_loop().time()


def play(story: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        runner.run(story())  # type: ignore[arg-type]  # the stories are coroutines


def record(cluster: FakeCluster) -> dict[str, Any]:
    spec: dict[str, Any] = cluster.the(LEASE, "chatscale-operator")["spec"]
    return spec


def test_a_single_process_writes_at_once_and_renews_at_a_low_rate():
    async def story() -> None:
        cluster = FakeCluster()
        only = Process(cluster, "only")
        task = asyncio.create_task(only.run())
        await asyncio.sleep(1)
        assert only.written_at[0] <= 0.5
        cluster.requests()
        await asyncio.sleep(60)
        leases = [call for call in cluster.requests() if call.endswith("Lease")]
        assert leases == ["replace Lease"] * 12
        await cancelled(task)

    play(story)


def test_of_two_processes_only_one_writes():
    async def story() -> None:
        cluster = FakeCluster()
        first, second = Process(cluster, "first"), Process(cluster, "second")
        tasks = [asyncio.create_task(process.run()) for process in (first, second)]
        await asyncio.sleep(120)
        assert sorted(bool(process.written_at) for process in (first, second)) == [False, True]
        await cancelled(*tasks)

    play(story)


@pytest.mark.parametrize("cut_at", [60.0, 61.3, 62.5, 64.9])
@pytest.mark.parametrize("takes_s", [0.0, 0.4])
def test_a_partitioned_holder_stops_writing_before_another_process_begins(cut_at: float, takes_s: float):
    async def story() -> None:
        cluster = FakeCluster()
        first, second = Process(cluster, "first"), Process(cluster, "second")
        first.network.takes_s = takes_s
        tasks = [asyncio.create_task(first.run())]
        await asyncio.sleep(2)
        tasks.append(asyncio.create_task(second.run()))
        await asyncio.sleep(cut_at - 2)
        first.network.is_cut = True
        await asyncio.sleep(60)
        # Packets arrive again: the former holder still has no right to write.
        first.network.is_cut = False
        await asyncio.sleep(60)
        assert first.written_at[-1] <= cut_at
        assert cut_at < second.written_at[0] <= cut_at + LEASE_S + RENEW_EVERY_S
        await cancelled(*tasks)

    play(story)


def test_a_write_that_has_begun_is_cancelled_when_the_right_to_write_ends():
    async def story() -> None:
        first = Process(FakeCluster(), "first")
        async with first.lease.kept():
            await first.lease.wait_until_held()
            first.network.is_cut = True
            with pytest.raises(ClusterUnavailableError, match="cancelled: this process has not renewed Lease demo/"):
                await first.write()
            assert now() == WRITE_FOR_S < LEASE_S
            with pytest.raises(ClusterUnavailableError, match="nothing is written"):
                await first.write()
            assert now() == WRITE_FOR_S

    play(story)


def test_a_slow_write_continues_while_the_lease_is_renewed():
    async def story() -> None:
        process = Process(FakeCluster(), "only")
        async with process.lease.kept():
            await process.lease.wait_until_held()
            slow = asyncio.timeout(WRITE_FOR_S + 5)
            with pytest.raises(TimeoutError):
                async with slow, process.lease.writing():
                    await asyncio.Event().wait()
            assert slow.expired()

    play(story)


def test_an_outage_of_the_api_server_ends_no_term_if_nobody_else_takes_the_lease():
    async def story() -> None:
        cluster = FakeCluster()
        only = Process(cluster, "only")
        async with only.lease.kept():
            await only.lease.wait_until_held()
            only.network.is_cut = True
            await asyncio.sleep(10 * LEASE_S)
            with pytest.raises(ClusterUnavailableError):
                await only.write()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await only.lease.wait_until_taken()
            only.network.is_cut = False
            await asyncio.sleep(RENEW_EVERY_S)
            await only.write()
        assert record(cluster)["leaseTransitions"] == 0

    play(story)


def test_a_process_that_ends_gives_the_lease_up_so_that_the_next_one_need_not_wait():
    async def story() -> None:
        cluster = FakeCluster()
        first, second = Process(cluster, "first"), Process(cluster, "second")
        task = asyncio.create_task(first.run())
        await asyncio.sleep(30)
        await cancelled(task)
        assert record(cluster)["holderIdentity"] == ""
        started = now()
        async with second.lease.kept():
            await second.lease.wait_until_held()
            assert now() == started
            assert record(cluster)["leaseTransitions"] == 1

    play(story)


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_changed_wall_clock_neither_ends_nor_prolongs_a_term(step: timedelta):
    async def story() -> None:
        cluster, clock = FakeCluster(), FakeClock(START)
        first, second = Process(cluster, "first", clock), Process(cluster, "second", clock)
        tasks = [asyncio.create_task(first.run())]
        await asyncio.sleep(2)
        tasks.append(asyncio.create_task(second.run()))
        await asyncio.sleep(20)
        clock.set_wall(step.total_seconds())
        await asyncio.sleep(100)
        assert (longest_pause(first), second.written_at) == (0.5, [])
        await cancelled(*tasks)

    play(story)


def test_two_processes_that_find_no_lease_at_the_same_time_do_not_both_get_it():
    async def story() -> None:
        cluster = FakeCluster()
        first, second = Process(cluster, "first"), Process(cluster, "second")
        first.network.takes_s = second.network.takes_s = 0.2
        async with first.lease.kept(), second.lease.kept():
            await asyncio.sleep(20)
            holders = [await may_write(process) for process in (first, second)]
            assert sorted(holders) == [False, True]

    play(story)


@pytest.mark.parametrize(
    "error", [ForbiddenError("no right"), NotFoundError("deleted"), ConflictError("changed"), ClusterUnavailableError()]
)
def test_a_failed_renewal_is_tried_again_before_the_right_to_write_ends(error: Exception):
    async def story() -> None:
        cluster = FakeCluster()
        process = Process(cluster, "only")
        task = asyncio.create_task(process.run())
        await asyncio.sleep(4)
        cluster.fail("replace Lease", error)
        await asyncio.sleep(30)
        assert longest_pause(process) == 0.5
        await cancelled(task)

    play(story)


def test_a_lease_that_someone_deleted_is_created_again():
    async def story() -> None:
        cluster = FakeCluster()
        process = Process(cluster, "only")
        async with process.lease.kept():
            await asyncio.sleep(1)
            cluster.remove(LEASE, "chatscale-operator")
            await asyncio.sleep(2 * RENEW_EVERY_S)
            await process.write()
            assert record(cluster)["holderIdentity"] == "only"

    play(story)


async def test_reads_need_no_lease():
    cluster = FakeCluster()
    process = Process(cluster, "only")
    with pytest.raises(NotFoundError):
        await process.cluster.get(SERVICE, "demo", "tiny")
    with pytest.raises(ClusterUnavailableError, match="nothing is written"):
        await process.write()
    assert cluster.written() == []


def longest_pause(process: Process) -> float:
    """Seconds between two writes."""
    return max(later - earlier for earlier, later in itertools.pairwise([*process.written_at, now() - 0.5]))


async def may_write(process: Process) -> bool:
    try:
        await process.write()
    except ClusterUnavailableError:
        return False
    return True


async def cancelled(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
