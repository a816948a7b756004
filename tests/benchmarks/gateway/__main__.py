"""`python -m tests.benchmarks.gateway`: the gateway beside other proxies, and docs/benchmarks/gateway.md.

All processes run on this machine; there is no cluster. A run takes less than 8 minutes, and up to 6 more once if
nginx, LiteLLM and vllm-router have to be installed into the cache.

With `--kind`: only the fairness of keys, on the kind cluster after `make install`. It takes 7 minutes and needs an
otherwise idle machine.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from chatscale.api.v1alpha1.routing import RoutingStrategy
from hack.paths import ROOT
from tests.benchmarks.gateway.capacity import measure_capacity
from tests.benchmarks.gateway.costs import measure_costs
from tests.benchmarks.gateway.fairness import measure_fairness
from tests.benchmarks.gateway.kind_fairness import measure_kind_fairness
from tests.benchmarks.gateway.limits import measure_limits
from tests.benchmarks.gateway.metering import measure_metering
from tests.benchmarks.gateway.page import render
from tests.benchmarks.gateway.peers import find_peers
from tests.benchmarks.gateway.prefixes import Routed, route
from tests.benchmarks.gateway.processes import allow_many_files
from tests.benchmarks.gateway.results import LEAST_LOAD, ONE_GATEWAY, TWO_GATEWAYS, Results, goals, load, save
from tests.benchmarks.server.machine import describe

PAGE: Final = ROOT / "docs" / "benchmarks" / "gateway.md"
LEAST_ROUNDS: Final = 5
"""A page needs as many."""


def measure(rounds: int, *, others: bool) -> Results:
    """Measure everything."""
    facts = dict(describe("cpu"))
    before = os.getloadavg()[0]
    peers = find_peers(others=others)
    costs = asyncio.run(measure_costs(peers.found, rounds))
    _tell("CPU time and latency measured")
    capacity = asyncio.run(measure_capacity())
    _tell("streams, disconnects and held requests measured")
    routed: dict[str, Routed] = {
        ONE_GATEWAY: route(RoutingStrategy.PREFIX_HASH, 1),
        TWO_GATEWAYS: route(RoutingStrategy.PREFIX_HASH, 2),
        LEAST_LOAD: route(RoutingStrategy.LEAST_LOAD, 2),
    }
    _tell("prefix routing measured")
    machine = f"{facts['CPU']}, Python {facts['Python']}, aiohttp {facts['aiohttp']}"
    results = Results(
        date=facts["date"],
        revision=facts["revision"],
        machine=machine,
        load_average=(before, os.getloadavg()[0]),
        costs=costs,
        missing=peers.missing,
        capacity=capacity,
        routed=routed,
        limits=None,
        fairness=None,
    )
    return measure_keys(results)


def measure_keys(results: Results) -> Results:
    """The same results with new limits, fairness and metering."""
    facts = dict(describe("cpu"))
    return replace(
        results,
        limits=asyncio.run(measure_limits()),
        fairness=measure_fairness(),
        metering=asyncio.run(measure_metering()),
        keys_measured=f"{facts['date']}, revision {facts['revision']}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if every goal is reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="default %(default)s; a page needs as many")
    parser.add_argument(
        "--without-others", action="store_true", help="leave out LiteLLM and vllm-router; install nothing"
    )
    parser.add_argument("--render", action="store_true", help="write the page from the last run's JSON file")
    parser.add_argument("--keys", action="store_true", help="measure only limits, fairness and usage by key")
    parser.add_argument("--kind", action="store_true", help="measure only fairness on the kind cluster")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"file to write ({PAGE.relative_to(ROOT)})")
    options = parser.parse_args(arguments)
    data = options.page.with_suffix(".json")
    allow_many_files()
    partly = options.render or options.keys or options.kind
    if partly:
        results = load(data)
        results = measure_keys(results) if options.keys else results
        results = replace(results, kind=measure_kind_fairness()) if options.kind else results
    else:
        results = measure(options.rounds, others=not options.without_others)
        results = replace(results, kind=load(data).kind) if data.exists() else results
    text = render(results)
    print(text)
    if partly or options.rounds >= LEAST_ROUNDS:
        save(results, data)
        options.page.write_text(text, encoding="utf-8")
    else:
        _tell(f"no page is written with fewer than {LEAST_ROUNDS} rounds")
    return 0 if all(goal.reached for goal in goals(results)) else 1


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
