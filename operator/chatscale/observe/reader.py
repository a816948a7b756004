"""One reading of a ChatModel's load: a sample of each Ready pod, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chatscale.api.v1alpha1 import ChatModel
from chatscale.observe.pods import Pod
from chatscale.scaling.signals import ReplicaSample


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """Samples and failures by pod name; every Ready pod is in exactly one of them."""

    taken_at: datetime
    samples: Mapping[str, ReplicaSample] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    source_failure: str = ""
    """Why the source as a whole could not be read, such as a Prometheus server that refuses connections or has no
    address. Empty if it answered, and if each pod is read by itself."""


class MetricsReader(Protocol):
    """Source of load. Tests use a fake."""

    async def read(self, chatmodel: ChatModel, pods: tuple[Pod, ...], now: datetime) -> ScrapeResult:
        """Read the load of the Ready pods within a deadline. A pod that does not respond raises no error."""
        ...
