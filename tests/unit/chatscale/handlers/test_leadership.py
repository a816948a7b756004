"""Two operators share one cluster: passes run only in the process that holds the Lease, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

from chatscale.cluster.guarded import Guarded
from chatscale.cluster.lease import LEASE_S, RENEW_EVERY_S, RETRY_S, WRITE_FOR_S, Lease
from chatscale.desired.manifest import ObjectKey
from chatscale.errors import ClusterUnavailableError
from chatscale.handlers.leadership import lead_forever
from chatscale.reconcile.controller import Controller
from tests.support.clock import FakeClock, virtual_time_loop
from tests.support.fake_cluster import FakeCluster

TINY = ObjectKey("ChatModel", "demo", "tiny")
MANIFEST = {"kind": "Service", "metadata": {"name": "tiny", "namespace": "demo"}, "spec": {}}


class Operator:
    """One process. A pass takes 3 s and writes at its end; the next one follows 2 s later."""

    def __init__(self, cluster: FakeCluster, identity: str) -> None:
        self.lease = Lease(cluster, "demo", "chatscale-operator", identity, FakeClock())
        self.cluster = Guarded(cluster, self.lease)
        self.controller = Controller({"ChatModel": self}, jitter=lambda: 1.0)
        self.began_at: list[float] = []
        self.ended_at: list[float] = []
        self.wrote_at: list[float] = []
        self.forgot = 0

    async def reconcile(self, _key: ObjectKey) -> float:
        self.began_at.append(now())
        try:
            await asyncio.sleep(3)
            await self.cluster.apply(MANIFEST, "chatscale")
            self.wrote_at.append(now())
        finally:
            self.ended_at.append(now())
        return 2.0

    def forget(self) -> None:
        self.forgot += 1

    async def run(self) -> None:
        async with self.lease.kept(), asyncio.TaskGroup() as group:
            group.create_task(lead_forever(self.lease, self.controller, lambda: [TINY], self.forget))


def now() -> float:
    return asyncio.get_running_loop().time()


def play(story: Callable[[FakeCluster, Operator, Operator], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = FakeCluster()
        first, second = Operator(cluster, "first"), Operator(cluster, "second")
        running = asyncio.create_task(first.run())
        await asyncio.sleep(1)
        waiting = asyncio.create_task(second.run())
        await asyncio.sleep(60)
        try:
            await story(cluster, first, second)
        finally:
            running.cancel()
            waiting.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)

    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        runner.run(main())


def steal(cluster: FakeCluster) -> None:
    """Another process has taken the Lease while this one could not reach the API server."""
    lease = cluster.objects["Lease", "demo", "chatscale-operator"]
    cluster.put({**lease, "kind": "Lease", "spec": {**lease["spec"], "holderIdentity": "a third"}})


def test_a_waiting_operator_runs_no_pass():
    async def story(_cluster: FakeCluster, first: Operator, second: Operator) -> None:
        assert len(first.began_at) > 10
        assert second.began_at == []
        second.controller.wake(TINY)
        await asyncio.sleep(1)
        assert second.began_at == []

    play(story)


def test_an_operator_that_loses_the_lease_has_ended_its_passes_before_another_begins():
    async def story(cluster: FakeCluster, first: Operator, second: Operator) -> None:
        steal(cluster)
        noticed_at = now() + RENEW_EVERY_S + RETRY_S
        await asyncio.sleep(LEASE_S)
        assert first.ended_at[-1] <= noticed_at
        assert first.wrote_at[-1] <= noticed_at
        assert (len(first.began_at), first.forgot) == (len(first.ended_at), 1)
        # The third process does not renew, so one of the two takes the Lease over.
        await asyncio.sleep(2 * RENEW_EVERY_S)
        assert max([*first.began_at, *second.began_at]) >= noticed_at + LEASE_S - RENEW_EVERY_S

    play(story)


def test_a_failed_renewal_stops_writes_and_neither_scrapes_nor_memory():
    async def story(cluster: FakeCluster, first: Operator, second: Operator) -> None:
        cut_at = now()
        cluster.fail("replace Lease", *[ClusterUnavailableError("HTTP 503")] * 12)
        # The other operator is cut off as well, as in an outage of the API server.
        cluster.fail("get Lease", *[ClusterUnavailableError("HTTP 503")] * 30)
        await asyncio.sleep(40)
        paused = [time for time in first.wrote_at if cut_at + WRITE_FOR_S < time < cut_at + 12]
        assert (paused, first.forgot, second.began_at) == ([], 0, [])
        assert [time for time in first.began_at if cut_at + WRITE_FOR_S < time < cut_at + 25]
        assert first.wrote_at[-1] > cut_at + 20

    play(story)


def test_a_successor_begins_with_a_pass_over_every_chatmodel_when_the_holder_ends():
    async def main() -> None:
        cluster = FakeCluster()
        first, second = Operator(cluster, "first"), Operator(cluster, "second")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(first.run())
            await asyncio.sleep(1)
            waiting = group.create_task(second.run())
            await asyncio.sleep(60)
            running.cancel()
            ended_at = now()
            await asyncio.sleep(RENEW_EVERY_S + 1)
            assert ended_at < second.began_at[0] <= ended_at + RENEW_EVERY_S
            waiting.cancel()

    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        runner.run(main())
