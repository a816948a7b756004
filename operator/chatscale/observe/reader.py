"""One reading of a ChatModel's load: what each ready pod said, and why the others did not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chatscale.api.v1alpha1 import ChatModel
from chatscale.observe.pods import Pod
from chatscale.scaling.signals import ReplicaSample


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """Samples and failures by pod name; every ready pod is in exactly one of them."""

    taken_at: datetime
    samples: Mapping[str, ReplicaSample] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)


class MetricsReader(Protocol):
    """Where load comes from; tests stand a fake behind it."""

    async def read(self, chatmodel: ChatModel, pods: tuple[Pod, ...], now: datetime) -> ScrapeResult:
        """Read the load of the ready pods within a deadline. Never raises for a pod that does not answer."""
        ...
