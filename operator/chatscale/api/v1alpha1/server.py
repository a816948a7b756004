"""How each replica runs: settings of the inference server, resources, and shutdown."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.common import KEYED_BY_NAME, ApiModel, CelRule, LocalObjectRef, NonEmptyName, Quantity
from chatscale_contract.server.environment import EngineName, SimulatedProfile


class Dtype(StrEnum):
    """Data type of weights and activations."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class ImagePullPolicy(StrEnum):
    """As in a Pod."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class EnvVar(ApiModel):
    """One environment variable with a literal value."""

    name: NonEmptyName = Field(description="Name of the variable; CHATSCALE_* names are reserved for the operator.")
    value: Annotated[str, StringConstraints(max_length=32_768)] = Field(
        default="", description="Value of the variable."
    )


class EnvFromSource(ApiModel):
    """All keys of a ConfigMap or a Secret as environment variables."""

    cel_rules = (
        CelRule(
            "has(self.configMapRef) != has(self.secretRef)",
            "spec.server.envFrom[] needs exactly one of configMapRef and secretRef",
        ),
    )

    config_map_ref: LocalObjectRef | None = Field(default=None, description="A ConfigMap.")
    secret_ref: LocalObjectRef | None = Field(default=None, description="A Secret.")


class SimulatedServer(ApiModel):
    """Settings of the Simulated engine, which needs no GPU: for rehearsals and tests."""

    profile: SimulatedProfile = Field(
        default=SimulatedProfile.LLAMA_8B_A100,
        description="Model and machine whose step times are simulated.",
    )
    startup_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=5,
        description="Simulated time to load the model, in seconds, before the pod is Ready.",
    )


class ServerSpec(ApiModel):
    """The inference server of each replica."""

    cel_rules = (
        CelRule(
            "!has(self.env) || self.env.all(e, !e.name.startsWith('CHATSCALE_'))",
            "spec.server.env[].name must not start with CHATSCALE_: the operator sets those",
        ),
    )

    engine: EngineName = Field(
        default=EngineName.TRANSFORMERS,
        description="Transformers runs the model. Simulated has the same API, queue, metrics and drain, and generates "
        "made-up text at the speed of `simulated.profile`.",
    )
    simulated: SimulatedServer = Field(
        default_factory=SimulatedServer, description="Settings of the Simulated engine; other engines ignore them."
    )
    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Container image. Defaults to the image that the chart sets for the engine.",
    )
    image_pull_policy: ImagePullPolicy = Field(default=ImagePullPolicy.IF_NOT_PRESENT, description="As in a Pod.")
    image_pull_secrets: Annotated[list[LocalObjectRef], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="As in a Pod."
    )
    env: Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="Additional environment variables of the server container."
    )
    env_from: Annotated[list[EnvFromSource], Field(max_length=16)] = Field(
        default_factory=list,
        description="ConfigMaps and Secrets whose keys become environment variables. A pod reads them when it starts: "
        "after a change of a ConfigMap or Secret, running pods keep the old values. To restart them, change an "
        "annotation in spec.pod.annotations.",
    )
    dtype: Dtype = Field(
        default=Dtype.AUTO,
        description="Data type of the weights; auto selects one that suits the model and the device.",
    )
    max_model_len: Annotated[int, Field(ge=16, le=1_048_576)] | None = Field(
        default=None,
        description="Maximum tokens of one request, prompt plus response. Defaults to the model's own limit. Each slot "
        "reserves KV cache for this many tokens.",
    )
    max_concurrency: Annotated[int, Field(ge=1, le=512)] | None = Field(
        default=None,
        description="Requests that one replica processes concurrently (batch slots). If left out, each replica chooses "
        "the number at its start: the largest batch that fits into memory and keeps "
        "spec.autoscaling.slo.tpotMilliseconds, at most 256. status.autoscaling.capacity shows it.",
    )
    max_queue: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=64,
        description="Requests that may wait for a slot in one replica; further requests get 429 with Retry-After.",
    )
    queue_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="A request that waits this many seconds for a slot gets 503 with Retry-After."
    )


class ResourceRequirements(ApiModel):
    """Compute resources of the server container, as in a Pod."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=dict,
        description="Upper limits, by resource name; GPUs (nvidia.com/gpu or a MIG resource) belong here.",
    )
    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=dict, description="Resources that the scheduler reserves, by resource name."
    )


class Device(StrEnum):
    """Device that a replica computes on."""

    GPU = "GPU"
    CPU = "CPU"


class DrainSpec(ApiModel):
    """How a replica shuts down without interrupting responses."""

    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=120,
        description="Maximum seconds for admitted requests to finish after the server stops accepting new ones.",
    )
    pre_stop_delay_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=10, description="Seconds that the server accepts requests after SIGTERM, while its endpoint is removed."
    )
