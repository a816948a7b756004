"""How each replica runs: the inference server's settings, its resources, and how it leaves."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.common import KEYED_BY_NAME, ApiModel, CelRule, LocalObjectRef, NonEmptyName, Quantity
from chatscale_contract.server.environment import EngineName, SimulatedProfile


class Dtype(StrEnum):
    """Number format of weights and activations."""

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

    name: NonEmptyName = Field(description="Name of the variable; CHATSCALE_* names belong to the operator.")
    value: Annotated[str, StringConstraints(max_length=32_768)] = Field(default="", description="Its value.")


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
    """How the Simulated engine behaves; for rehearsals and tests without GPUs."""

    profile: SimulatedProfile = Field(
        default=SimulatedProfile.LLAMA_8B_A100,
        description="Model and machine whose step times the clock follows.",
    )
    startup_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=5,
        description="Pretended time of loading the model before the pod is ready.",
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
        description="Transformers runs the model; Simulated has the same API, queue, metrics and drain, and makes up "
        "the text at the speed of `simulated.profile`.",
    )
    simulated: SimulatedServer = Field(
        default_factory=SimulatedServer, description="Settings of the Simulated engine; other engines ignore them."
    )
    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Container image. Defaults to the chart's image for the engine.",
    )
    image_pull_policy: ImagePullPolicy = Field(default=ImagePullPolicy.IF_NOT_PRESENT, description="As in a Pod.")
    image_pull_secrets: Annotated[list[LocalObjectRef], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="As in a Pod."
    )
    env: Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="Further environment variables of the server container."
    )
    env_from: Annotated[list[EnvFromSource], Field(max_length=16)] = Field(
        default_factory=list, description="ConfigMaps and Secrets whose keys become environment variables."
    )
    dtype: Dtype = Field(
        default=Dtype.AUTO, description="Number format of the weights; auto takes what the model and machine suit."
    )
    max_model_len: Annotated[int, Field(ge=16, le=1_048_576)] | None = Field(
        default=None,
        description="Most tokens of prompt plus answer of one request. Defaults to the model's own limit. Each slot "
        "keeps KV cache for this many tokens.",
    )
    max_concurrency: Annotated[int, Field(ge=1, le=512)] = Field(
        default=8, description="Requests that one replica decodes at a time (batch slots)."
    )
    max_queue: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=64,
        description="Requests that may wait for a slot in one replica; one more gets 429 with Retry-After.",
    )
    queue_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="A request that waited this long for a slot is refused with 503 and Retry-After."
    )


class ResourceRequirements(ApiModel):
    """Compute resources of the server container, as in a Pod."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=dict,
        description="Upper bounds, by resource name; GPUs (nvidia.com/gpu or a MIG resource) go here.",
    )
    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=dict, description="What the scheduler sets aside, by resource name."
    )


class Device(StrEnum):
    """What a replica computes on."""

    GPU = "GPU"
    CPU = "CPU"


class DrainSpec(ApiModel):
    """How a replica leaves without cutting an answer."""

    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=120,
        description="Most time that admitted requests get to finish after the server stops taking new ones.",
    )
    pre_stop_delay_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=10, description="Time the server goes on taking requests after SIGTERM, while endpoints are withdrawn."
    )
