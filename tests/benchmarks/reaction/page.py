"""Writes docs/benchmarks/reaction.md from the measured reactions."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Final

from tests.benchmarks.reaction.measure import POLICIES, Reaction
from tests.benchmarks.reaction.scenes import LOW_LOAD, MAX_QUEUE, Scene

Results = Mapping[Scene, Mapping[str, Reaction]]
"""By scene and policy."""
NAMES: Final = {"chatscale": "Chatscale", "hpa": "HPA", "keda": "KEDA", "knative": "Knative", "kubeai": "KubeAI"}
MACHINES: Final = {"8b-a10g": "8B model on an A10G", "smollm2-135m-cpu": "SmolLM2-135M on 2 CPU cores"}
_HEADER: Final = """\
# How fast policies react to a flash crowd

`make bench-reaction` writes this page from a simulation. The last section is measured on a kind cluster. The server
profile `8b-a10g` is derived from data sheets and was not measured; `smollm2-135m-cpu` was measured on 2 cores.

**Setting.** One replica runs at the start, at most 64 may run. The load is idle for 75 s, or has for 300 s a low
level: {low:.0%} of what one replica serves under overload. Then the arrival rate is 2, 5, 10 or 30 times the low
level and stays there for 2 minutes and two startup times. Arrivals are a Poisson process, prompts have 100 to 300
tokens, answers 50 to 150. A queue holds {queue} requests; a request goes to the replica with the fewest. A replica is
ready 5, 30, 80 or 295 s after its creation. The SLO is 2 s to the first token (three times the unloaded time if that
is more) and 100 ms per token.

**Policies**, each with its own metrics and interval. The targets of HPA, Knative and KubeAI are set for the slots of
the server, because their shipped targets (100 requests) would never be reached with few slots:

| policy | follows | reads | decides every |
|---|---|---|---|
| Chatscale | the SLO: default settings, `maxReplicas: 64` | each pod, live | 2 s |
| HPA (Kubernetes' rate limits) | 4 waiting, or 80 % of the slots running, per replica | Prometheus, every 15 s | 15 s |
| KEDA | 5 waiting per replica (vLLM production-stack) | Prometheus, every 15 s | 15 s |
| Knative | 70 % of the slots in flight per replica | its proxies, live | 2 s |
| KubeAI | one request in flight per slot, mean of 10 minutes | its proxies, live | 10 s |

**Columns.** *First write*: from the first request of the crowd to the first higher `spec.replicas`. *Sufficient*:
until `spec.replicas` is at least the smallest fixed fleet that serves 99 % of the crowd within the SLO; 0 if it was
before. *Late or refused*: share of the crowd's requests outside the SLO. No policy can avoid those that arrive before
new replicas are ready. *Hours*: replica-hours of a whole run, from the creation of each pod: GPU-hours on the A10G,
node-hours on the CPU. One seed; no peer was tuned. "-": not before the end of the run.
"""


def render(results: Results) -> str:
    """The page."""
    parts = [_HEADER.format(low=LOW_LOAD, queue=MAX_QUEUE), "## Summary\n"]
    parts.append("Medians, means and sums over the scenes of one server; every scene is in the tables below.\n")
    parts += [_summary(server, scenes, results) for server, scenes in _by_server(results).items()]
    parts.append("## Every scene\n\nPer policy: first write / sufficient in seconds, and the share late or refused.\n")
    parts += [_details(server, scenes, results) for server, scenes in _by_server(results).items()]
    return "\n".join(parts)


def _by_server(results: Results) -> dict[str, list[Scene]]:
    servers: dict[str, list[Scene]] = {}
    for scene in sorted(results, key=lambda scene: (scene.profile.value, scene.slots)):
        name = f"{MACHINES[scene.profile.value]} (`{scene.profile.value}`), {scene.slots} slots"
        servers.setdefault(name, []).append(scene)
    return servers


def _summary(server: str, scenes: Sequence[Scene], results: Results) -> str:
    lines = [
        f"**{server}**, {len(scenes)} scenes",
        "",
        "| policy | first write, median s | sufficient, median s | never sufficient | late or refused, mean | hours |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for policy in POLICIES:
        found = [results[scene][policy] for scene in scenes]
        never = sum(reaction.sufficient_s is None for reaction in found)
        lines.append(
            f"| {NAMES[policy]} | {_median(found, lambda each: each.first_write_s)} "
            f"| {_median(found, lambda each: each.sufficient_s)} | {never} "
            f"| {fmean(reaction.missed for reaction in found):.1%} "
            f"| {sum(reaction.replica_hours for reaction in found):.1f} |"
        )
    return "\n".join([*lines, ""])


def _median(found: Sequence[Reaction], value: Callable[[Reaction], float | None]) -> str:
    """Over the runs that have a value."""
    known = [seconds for each in found if (seconds := value(each)) is not None]
    return f"{median(known):.1f}" if known else "-"


def _details(server: str, scenes: Sequence[Scene], results: Results) -> str:
    lines = [
        f"**{server}**",
        "",
        f"| before | factor | startup | {' | '.join(NAMES[policy] for policy in POLICIES)} |",
        f"|---|---:|---:|{'---:|' * len(POLICIES)}",
    ]
    for scene in scenes:
        cells = " | ".join(_cell(results[scene][policy]) for policy in POLICIES)
        lines.append(f"| {scene.level.value} | {scene.factor} | {scene.startup_s} s | {cells} |")
    return "\n".join([*lines, ""])


def _cell(reaction: Reaction) -> str:
    return f"{_seconds(reaction.first_write_s)} / {_seconds(reaction.sufficient_s)}, {reaction.missed:.1%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f}"
