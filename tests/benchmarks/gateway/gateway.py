"""`python -m tests.benchmarks.gateway.gateway PORT ADMIN_PORT [REPLICA_PORT]`: the gateway with a fixed catalog.

All parts are those of `python -m chatscale_gateway`; only discovery is replaced. Without a replica's port the model has
no pods. Each line on standard input is the port of a pod that appears. Environment variables switch on keys and a peer.
"""

import asyncio
import cProfile
import gc
import os
import random
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client import disable_created_metrics

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from chatscale_contract.server.load import ReplicaLoad
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.discovery.peers import PeerReader
from chatscale_gateway.discovery.pod_http import pod_session
from chatscale_gateway.discovery.translate import GatewayPod
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.http.access_log import WriteLine
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.http.metric_events import MetricEvents
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.serve import Ports, listening, print_line
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from chatscale_gateway.upstream.client import ReplicaClient
from chatscale_process.logs import set_up_logs
from tests.benchmarks.gateway.wire import GOOD_KEY, LIMIT_PER_MINUTE, LIMITED_KEY, MODEL

KEY: Final = ModelKey("bench", MODEL)
SLOTS: Final = 2000
"""More than the benchmark has open requests, so that the gateway holds none of them while there is a pod."""
RESPONSE_TIMEOUT_S: Final = 300.0
KEYS: Final = "GATEWAY_KEYS"
"""Environment variable: if set, requests need one of the keys in `wire`."""
NAME: Final = "GATEWAY_NAME"
"""Environment variable: name of the gateway."""
PEER: Final = "GATEWAY_PEER"
"""Environment variable: admin port of another gateway, to be read once a second."""
LOG: Final = "GATEWAY_LOG"
"""Environment variable: file for the access log. Otherwise it goes to standard output."""
_READING_S: Final = 1.0
PROFILE: Final = "GATEWAY_PROFILE"
"""Environment variable: file for a profile of the process, written at its end."""


def catalog(*replica_ports: int) -> Catalog:
    """One model with a ready pod on each port."""
    model = Model(
        key=KEY, uid="uid", served_name=MODEL, created=datetime(2026, 1, 1, tzinfo=UTC), routing=RoutingSpec(),
        slo=LatencyObjectives(), replicas=len(replica_ports), scale_to_zero=True,
    )  # fmt: skip
    pods = tuple(
        Replica(f"uid-{port}", f"pod-{port}", "127.0.0.1", port, ready=True, leaving=False) for port in replica_ports
    )
    return Catalog({KEY: model}, {KEY: pods})


@dataclass(frozen=True, slots=True)
class _Keys:
    """In place of the Secrets."""

    ring: KeyRing


def _authentication() -> Authentication | None:
    if KEYS not in os.environ:
        return None
    policies = {LIMITED_KEY: KeyPolicy(output_tokens_per_minute=LIMIT_PER_MINUTE), GOOD_KEY: KeyPolicy()}
    found = [FoundKey(KeyId(KEY.namespace, key), StoredKey(hash_key(key), policy)) for key, policy in policies.items()]
    return Authentication(_Keys(KeyRing(found, KEY.namespace)))


def _line_writer(stack: AsyncExitStack) -> WriteLine:
    if LOG not in os.environ:
        return print_line
    file = stack.enter_context(Path(os.environ[LOG]).open("w", buffering=1, encoding="utf-8"))  # noqa: SIM115 - it is
    return lambda line: print(line, file=file)


async def _read_peer(dispatcher: HoldingDispatcher, peer_admin_port: int) -> None:
    """Read the other gateway for ever, as discovery does."""
    async with pod_session() as session:
        reader = PeerReader(session, peer_admin_port, time.monotonic)
        while True:
            dispatcher.peers_read(await reader.read([GatewayPod("peer", "peer", "127.0.0.1")]))
            await asyncio.sleep(_READING_S)


async def main(port: int, admin_port: int, *replica_ports: int) -> None:
    """Serve until the process is ended."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    set_up_logs("INFO", as_json=True, quiet=("asyncio", "aiohttp"))
    dispatcher = HoldingDispatcher(
        gateway=os.environ.get(NAME, "gateway-0"), instance="i", now=time.monotonic, rng=random.Random(1),
        max_held_bytes=10**9, events=MetricEvents(),
    )  # fmt: skip

    def show(*ports: int) -> None:
        dispatcher.catalog_changed(catalog(*ports))
        loads: dict[str, ReplicaLoad | None] = {f"uid-{each}": ReplicaLoad(0, 0, SLOTS) for each in ports}
        dispatcher.loads_read(loads, time.monotonic())

    show(*replica_ports)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(sys.stdin, lambda: show(*map(int, sys.stdin.readline().split())))
    async with (
        AsyncExitStack() as stack,
        ReplicaClient(response_timeout_s=RESPONSE_TIMEOUT_S) as upstream,
        listening(
            dispatcher, upstream, HttpOptions(), host="127.0.0.1", ports=Ports(port, admin_port, 0),
            authentication=_authentication(), write_line=_line_writer(stack),
        ) as gateway,
        asyncio.TaskGroup() as group,
    ):  # fmt: skip
        gc.freeze()
        gateway.lifecycle.catalog_complete()
        peer = os.environ.get(PEER)
        reading = group.create_task(_read_peer(dispatcher, int(peer))) if peer else None
        await ended.wait()
        if reading is not None:
            reading.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if path := os.environ.get(PROFILE):
            with cProfile.Profile() as profile:
                runner.run(main(*map(int, sys.argv[1:])))
            profile.dump_stats(path)
        else:
            runner.run(main(*map(int, sys.argv[1:])))
