"""200 ChatModels under one controller, in virtual time: what they cost the API server while nothing happens."""

import asyncio
from datetime import timedelta

from chatscale import names
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.write_through import WriteThrough
from chatscale.reconcile.chatmodel.reconciler import ChatModelReconciler
from chatscale.reconcile.chatmodel.watches import chatmodels_concerned
from chatscale.reconcile.controller import Controller
from tests.support.builders import START, ChatModelBuilder, Manifest, a_chatmodel, a_pod
from tests.support.clock import virtual_time_loop
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_reader import FakeReader
from tests.support.world import IMAGES

COUNT = 200
FIXED = a_chatmodel().with_replicas(0)
OPERATOR = a_chatmodel().in_mode("Operator")


class Process:
    """One operator over one fake cluster."""

    def __init__(self, cluster: FakeCluster) -> None:
        loop = asyncio.get_running_loop()
        self.cluster = cluster
        self.reader = FakeReader()
        self.cache = WatchCache(owners_of=chatmodels_concerned)
        writer = WriteThrough(cluster, self.cache)
        chatmodels = ChatModelReconciler(
            writer, self.cache, self.reader, IMAGES, lambda: START + timedelta(seconds=loop.time()), loop.time
        )
        self.controller = Controller({"ChatModel": chatmodels})

    def deliver(self) -> None:
        """The watches deliver all changes."""
        for _, manifest in self.cluster.watch_events():
            for key in self.cache.store(manifest):
                self.controller.wake(key)


def a_pod_of(name: str) -> Manifest:
    manifest = a_pod(f"{name}-1").ready().manifest()
    manifest["metadata"]["labels"][names.CHATMODEL.label] = name
    return manifest


def requests_of_a_quiet_minute(builder: ChatModelBuilder, *, with_pods: bool) -> tuple[list[str], int]:
    """The requests of the second minute, and the scrapes of that minute."""
    models = [builder.named(f"m{index:03}") for index in range(COUNT)]
    pods = [a_pod_of(model.name) for model in models] if with_pods else []

    async def play() -> tuple[list[str], int]:
        process = Process(FakeCluster(*(model.manifest() for model in models), *pods))
        async with asyncio.TaskGroup() as group:
            group.create_task(process.controller.run())
            await asyncio.sleep(0)
            process.deliver()
            await asyncio.sleep(5)
            for model in models:
                process.cluster.settle_deployment(model.name)
            process.deliver()
            await asyncio.sleep(60)
            process.deliver()
            await asyncio.sleep(5)
            process.cluster.requests()
            before = process.reader.readings
            await asyncio.sleep(60)
            process.controller.stop()
        return process.cluster.requests(), process.reader.readings - before

    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        return runner.run(play())


def test_a_quiet_minute_of_200_chatmodels_fixed_at_0_replicas_costs_no_request_and_no_scrape():
    assert requests_of_a_quiet_minute(FIXED, with_pods=False) == ([], 0)


def test_a_quiet_minute_of_200_chatmodels_in_mode_operator_with_idle_pods_costs_no_request():
    requests, scrapes = requests_of_a_quiet_minute(OPERATOR, with_pods=True)
    assert requests == []
    assert scrapes >= COUNT * 11
