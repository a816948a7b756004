"""A reconciler among fakes: the smallest world in which a ChatModel lives."""

from dataclasses import dataclass, field

from chatscale.desired.workload import ServerImages
from chatscale.reconcile.chatmodel import ChatModelReconciler
from chatscale.reconcile.snapshot import Key
from tests.support.builders import ChatModelBuilder, Manifest
from tests.support.clock import FakeClock
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_reader import FakeReader

IMAGES = ServerImages(transformers="server:1", simulated="simulated:1")
TINY = Key("demo", "tiny")


@dataclass
class World:
    """One cluster, one operator process; `restart_operator` makes a new process in the same cluster."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    reader: FakeReader = field(default_factory=FakeReader)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.restart_operator()

    def restart_operator(self) -> None:
        self.operator = ChatModelReconciler(self.cluster, self.reader, IMAGES, self.clock)

    async def tick(self, times: int = 1, seconds: float = 5) -> float | None:
        """Let time pass, and a pass follow, so many times."""
        delay: float | None = None
        for _ in range(times):
            self.clock.advance(seconds)
            delay = await self.operator.reconcile(TINY)
        return delay


def a_world(chatmodel: ChatModelBuilder, *others: Manifest) -> World:
    return World(FakeCluster(chatmodel.manifest(), *others))


async def a_settled_world(chatmodel: ChatModelBuilder, *others: Manifest) -> World:
    """After the first passes, with the Deployment rolled out, and everything until then forgotten."""
    world = a_world(chatmodel, *others)
    await world.tick()
    world.cluster.settle_deployment()
    await world.tick()
    world.cluster.written()
    world.cluster.told()
    return world
