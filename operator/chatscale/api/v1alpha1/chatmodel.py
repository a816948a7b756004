"""The ChatModel resource: metadata, spec, status, and the rules between their fields."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chatscale.api.v1alpha1.autoscaling import AutoscalingMode, AutoscalingSpec
from chatscale.api.v1alpha1.common import ApiModel, CelRule, not_stored
from chatscale.api.v1alpha1.model import ModelSource
from chatscale.api.v1alpha1.pod import PodMetadataSpec
from chatscale.api.v1alpha1.price import PriceSpec
from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale.api.v1alpha1.scheduling import SchedulingSpec
from chatscale.api.v1alpha1.server import Device, DrainSpec, ResourceRequirements, ServerSpec
from chatscale.api.v1alpha1.status import ChatModelStatus
from chatscale.names import CANARY_SUFFIX, MAX_NAME_LENGTH
from chatscale_contract.server.environment import EngineName
from chatscale_contract.server.profiles import PROFILES
from chatscale_contract.server.slots import MIN_SLOTS, profile_slots


class ChatModelSpec(ApiModel):
    """One chat model and the replicas that serve it."""

    cel_rules = (
        CelRule(
            "self.device != 'CPU' || !has(self.resources.limits) || "
            "self.resources.limits.all(name, !name.startsWith('nvidia.com/') && !name.startsWith('amd.com/'))",
            "spec.resources.limits must not name GPUs with spec.device CPU",
        ),
        CelRule(
            "self.device != 'GPU' || self.server.engine == 'Simulated' || (has(self.resources.limits) && "
            "self.resources.limits.exists(name, name.contains('/')))",
            "spec.resources.limits must name a GPU resource, such as nvidia.com/gpu, with spec.device GPU",
        ),
    )

    model: ModelSource = Field(description="The model to serve.")
    server: ServerSpec = Field(default_factory=ServerSpec, description="The inference server of each replica.")
    resources: ResourceRequirements = Field(
        default_factory=ResourceRequirements, description="Compute resources of each replica."
    )
    device: Device = Field(default=Device.GPU, description="Device that a replica computes on.")
    scheduling: SchedulingSpec = Field(
        default_factory=SchedulingSpec,
        description="Where the pods run: node selector, tolerations, affinity, spread.",
        json_schema_extra=not_stored,
    )
    pod: PodMetadataSpec = Field(
        default_factory=PodMetadataSpec,
        description="Labels, annotations and service account of the pods.",
        json_schema_extra=not_stored,
    )
    replicas: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=1,
        description="Desired number of replicas. The autoscaler writes it, or in mode Fixed the user (kubectl scale). "
        "Leave it out of manifests that are kept in Git.",
    )
    autoscaling: AutoscalingSpec = Field(
        default_factory=lambda: AutoscalingSpec(mode=AutoscalingMode.FIXED),
        description="Who sets the replica count. If left out: mode Fixed.",
        json_schema_extra=not_stored,
    )
    routing: RoutingSpec = Field(
        default_factory=RoutingSpec,
        description="How the gateway names, holds and distributes requests for this model.",
        json_schema_extra=not_stored,
    )
    price: PriceSpec | None = Field(
        default=None,
        description="What the model costs. Reports of usage and of the simulator show money with it. Nothing scales "
        "by it.",
    )
    drain: DrainSpec = Field(
        default_factory=DrainSpec, description="How a replica shuts down without interrupting responses."
    )


class ObjectMeta(ApiModel):
    """The parts of metav1.ObjectMeta that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class ChatModel(ApiModel):
    """A chat LLM, served by replicas that scale with demand."""

    cel_rules = (
        CelRule(
            f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
            f"metadata.name must have at most {MAX_NAME_LENGTH} characters, so that the names of its pods fit",
            f"'metadata.name must have at most {MAX_NAME_LENGTH} characters, found %d'"
            ".format([self.metadata.name.size()])",
        ),
        CelRule(
            f"!self.metadata.name.endsWith('{CANARY_SUFFIX}')",
            f"metadata.name must not end in {CANARY_SUFFIX}: such names are reserved for canary Deployments",
        ),
        CelRule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must be lower case letters, digits and '-', and start with a letter, as a Service's name",
            "'metadata.name must be lower case letters, digits and dashes, and start with a letter, found \"'"
            " + self.metadata.name + '\"'",
        ),
        CelRule(
            "!has(self.spec.routing) || !has(self.spec.routing.overload) || "
            "!has(self.spec.routing.overload.fallback) || self.spec.routing.overload.fallback != self.metadata.name",
            "spec.routing.overload.fallback must name another ChatModel",
        ),
    )

    metadata: ObjectMeta
    spec: ChatModelSpec
    status: ChatModelStatus = Field(default_factory=ChatModelStatus)

    @property
    def key(self) -> str:
        """namespace/name, for messages and logs."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def served_name(self) -> str:
        """The `model` in requests to the OpenAI API."""
        return self.spec.model.served_name or self.metadata.name

    @property
    def slots(self) -> int:
        """Batch slots of each replica: as the spec says, or as last read.

        Before the first reading: as the profile of the Simulated engine says, or MIN_SLOTS.
        """
        server, capacity = self.spec.server, self.status.autoscaling.capacity
        if server.max_concurrency is not None:
            return server.max_concurrency
        if capacity is not None:
            return capacity.max_concurrency
        if server.engine is EngineName.SIMULATED:
            tpot_s = self.spec.autoscaling.slo.tpot_milliseconds / 1000
            return profile_slots(PROFILES[server.simulated.profile], tpot_s)
        return MIN_SLOTS
