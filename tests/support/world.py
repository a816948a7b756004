"""A reconciler among fakes: the smallest environment in which a ChatModel lives."""

from dataclasses import dataclass, field

from chatscale.cluster.cache import WatchCache
from chatscale.cluster.write_through import WriteThrough
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.network_policy import PodAccess
from chatscale.desired.workload import ServerImages
from chatscale.reconcile.chatmodel.reconciler import ChatModelReconciler
from chatscale.reconcile.chatmodel.watches import chatmodel_key
from chatscale.reconcile.watches import WATCHES, resources_concerned
from tests.support.builders import ChatModelBuilder, Manifest
from tests.support.clock import FakeClock
from tests.support.fake_cluster import FakeCluster, matches
from tests.support.fake_reader import FakeReader
from tests.support.gateways import FakeGateways

IMAGES = ServerImages(transformers="server:1", simulated="simulated:1")
TINY = chatmodel_key("demo", "tiny")


@dataclass
class World:
    """One cluster, one operator process; `restart_operator` makes a new process in the same cluster."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    reader: FakeReader = field(default_factory=FakeReader)
    clock: FakeClock = field(default_factory=FakeClock)
    gateways: FakeGateways | None = None

    images: ServerImages = IMAGES
    access: PodAccess = field(default_factory=PodAccess)
    max_updates: int = 1
    woken: list[ObjectKey] = field(default_factory=list)
    """What passes woke, in order."""

    def __post_init__(self) -> None:
        self.restart_operator()

    def upgrade_operator(self, images: ServerImages) -> None:
        """Another operator with other default images takes over."""
        self.images = images
        self.restart_operator()

    def restart_operator(self) -> None:
        """A new process lists what exists, so its cache is complete."""
        self.cache = WatchCache(owners_of=resources_concerned)
        cluster = WriteThrough(self.cluster, self.cache)
        self.operator = ChatModelReconciler(
            cluster, self.cache, self.reader, self.images, self.clock, self.clock.monotonic, self.gateways,
            access=self.access, max_updates=self.max_updates, wake=self.woken.append,
        )  # fmt: skip
        self.deliver()
        for manifest in self.cluster.snapshot():
            if is_watched(manifest):
                self.cache.store(manifest)

    def deliver(self) -> set[ObjectKey]:
        """The watches deliver all changes. Returns the ChatModels that they would wake."""
        woken: set[ObjectKey] = set()
        for kind, manifest in self.cluster.watch_events():
            if kind != "DELETED" and is_watched(manifest):
                woken |= self.cache.store(manifest)
            else:
                # A watch with a label selector reports an object that no longer matches as deleted.
                woken |= self.cache.remove(manifest)
        return woken

    async def tick(self, times: int = 1, seconds: float = 5, *, watching: bool = True) -> float | None:
        """Time passes, the watches deliver, and a pass follows, so many times.

        watching: False keeps the events for later, as a slow or broken watch does.
        """
        delay: float | None = None
        for _ in range(times):
            self.clock.advance(seconds)
            if watching:
                self.deliver()
            delay = await self.operator.reconcile(TINY)
        return delay

    async def reconcile(self, name: str) -> float | None:
        """The watches deliver, and a pass over this ChatModel follows."""
        self.deliver()
        return await self.operator.reconcile(chatmodel_key("demo", name))


def is_watched(manifest: Manifest) -> bool:
    return any(matches(manifest, watch) for watch in WATCHES)


def a_world(chatmodel: ChatModelBuilder, *others: Manifest) -> World:
    return World(FakeCluster(chatmodel.manifest(), *others))


async def a_settled_world(chatmodel: ChatModelBuilder, *others: Manifest) -> World:
    """After the first passes, with a finished rollout, and with empty lists of writes, requests and Events."""
    world = a_world(chatmodel, *others)
    await world.tick()
    world.cluster.settle_deployment()
    await world.tick()
    world.cluster.written()
    world.cluster.requests()
    world.cluster.event_reasons()
    return world
