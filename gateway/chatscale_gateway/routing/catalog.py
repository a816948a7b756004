"""Models and their replicas. A model is a ChatModel or a ShopAssistant.

The catalog's models come from these resources, never from running pods: a model with no replica is in it, too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from typing_extensions import override

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.routing.live_facts import LiveFacts

_PART: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
"""The end of a forwarded path. It is written to the access log, so it must not be any text of a client."""


@dataclass(frozen=True, slots=True)
class ModelKey:
    """Identity of a model. A ChatModel takes precedence over a ShopAssistant of the same namespace and name."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Model:
    """One ChatModel or ShopAssistant."""

    key: ModelKey
    uid: str
    served_name: str
    """The `model` that its replicas expect in requests."""
    created: datetime
    routing: RoutingSpec
    slo: LatencyObjectives
    replicas: int
    """`spec.replicas`."""
    max_model_len: int | None = None
    weights: str = ""
    """Where its weights come from (`ModelSource.weights`); empty for a ShopAssistant."""
    scale_to_zero: bool = False
    """`spec.autoscaling.scaleToZero`: a held or refused request starts the first replica."""
    start_s: float | None = None
    """How long the last replicas took from their creation until they were Ready; None if no start was measured."""
    live: LiveFacts = field(default_factory=LiveFacts)
    is_assistant: bool = False
    """A ShopAssistant. It is no fallback of a ChatModel: it may request answers of that ChatModel."""
    path_prefixes: tuple[str, ...] = ()
    """POST requests to `PREFIX/NAME` are forwarded, beside `routing.extra_paths`."""

    def has_extra_path(self, path: str) -> bool:
        """Whether a POST to this path, which not all models have, is forwarded."""
        prefix, _, name = path.rpartition("/")
        return path in self.routing.extra_paths or (prefix in self.path_prefixes and bool(_PART.fullmatch(name)))

    @property
    def stopped(self) -> bool:
        """Whether the model stays at 0 replicas, however long a request waits."""
        return self.replicas == 0 and not self.scale_to_zero


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of a model that exists and is not ended. Identity is the UID: a name can be used again."""

    uid: str
    name: str
    address: str
    """IP address."""
    port: int
    ready: bool
    """The pod's Ready condition."""
    leaving: bool
    """It has a deletion timestamp or `DRAIN_ANNOTATION`: it gets no new request."""

    @property
    def accepting(self) -> bool:
        """Whether it may get a new request."""
        return self.ready and not self.leaving


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models and their replicas at one time."""

    models: Mapping[ModelKey, Model] = field(default_factory=dict)
    replicas: Mapping[ModelKey, tuple[Replica, ...]] = field(default_factory=dict)
