"""docs/benchmarks/zero-lost.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """The requests that were sent while one kind of event happened."""

    event: str
    times: int
    sent: int
    refused: int
    lost: int
    """Neither a whole answer nor a documented refusal."""


def page(counts: Sequence[Count], machine: Mapping[str, str]) -> str:
    """The whole page."""
    rows = [
        f"| {each.event} | {each.times} | {each.sent} | {each.sent - each.refused - each.lost} | {each.refused} | "
        f"{each.lost} |"
        for each in counts
    ]
    failed = sum(each.refused + each.lost for each in counts)
    return "\n".join(
        [
            "# Requests lost while replicas and gateways come and go",
            "",
            (
                "All requests are streamed chats through the gateway on the kind cluster, engine Simulated, each on a "
                "connection of its own. An answer counts if it has a finish reason and `[DONE]`. The goal is 0 refused "
                f"and 0 lost: {'reached' if failed == 0 else f'not reached, {failed} failed'}. A rollout of the "
                "gateway counts once its new pods are ready; its old pods still finish their streams during the next one."
            ),
            "",
            "| Event | Times | Requests sent | Answered | Refused | Lost |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            (
                f"Measured on {machine['date']} at revision {machine['revision']}, {machine['CPU']}. "
                "`make bench-zero-lost` measures it anew; `make test` runs a sample of each event."
            ),
            "",
        ]
    )
