"""The operator's settings: read from the environment once and validated before anything starts.

Nothing else in the control plane reads the environment. A bad value or an unknown `CHATSCALE_OPERATOR_*` variable stops
the process with one line that names the variable, the expected and the found value: a typo must not become a default.
"""

import json
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode, SettingsConfigDict

from chatscale_contract.gateway.endpoints import GATEWAY_NAME
from chatscale_process.settings import LogFormat, ProcessSettings

ENV_PREFIX: Final = "CHATSCALE_OPERATOR_"


Image = Annotated[str, StringConstraints(pattern=r"^\S+$"), Field(description="a container image")]
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
LeaseName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
LabelSelector = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=1024, pattern=r"^[A-Za-z0-9._/-]+=[A-Za-z0-9._-]+(,[A-Za-z0-9._/-]+=[A-Za-z0-9._-]+)*$"
    ),
    Field(description="a label selector such as app.kubernetes.io/name=chatscale-gateway"),
]
Port = Annotated[int, Field(ge=0, le=65_535, description="a TCP port from 0 (off) to 65535")]


class Settings(ProcessSettings):
    """One operator process. Every field is the environment variable `CHATSCALE_OPERATOR_<FIELD>`.

    A field's description is the expectation that an error message states.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX)
    program = "operator"

    server_image: Image = "chatscale-server:latest"
    """Image of replicas with engine Transformers whose spec names none."""
    simulated_server_image: Image = "chatscale-server-simulated:latest"
    """Image of replicas with engine Simulated whose spec names none."""
    assistant_image: Image = "chatscale-assistant:latest"
    """Image of ShopAssistants whose spec names none."""
    namespaces: Annotated[tuple[Namespace, ...], NoDecode] = Field(
        default=(), description="a comma-separated list of namespace names"
    )
    """Comma-separated in the environment; empty watches the whole cluster."""
    lease_namespace: Namespace | Literal[""] = Field(default="", description="the name of a namespace")
    """Namespace of the Lease that all operators of one installation share; one of them writes at a time. Empty: the
    first of `namespaces`, or `default` for the whole cluster."""
    lease_name: LeaseName = Field(default="chatscale-operator", description="the name of a Lease")
    max_concurrent_model_rollouts: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="a whole number from 1 to 10000"
    )
    """ChatModels that roll out a new default image or another change by the operator at a time."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="one of DEBUG, INFO, WARNING, ERROR"
    )
    log_format: LogFormat = Field(default=LogFormat.JSON, description=f"one of {', '.join(LogFormat)}")
    gateway_namespace: Namespace | Literal[""] = Field(default="", description="the name of a namespace")
    """Namespace of the gateway's pods. Empty: there is no gateway."""
    gateway_selector: LabelSelector = f"app.kubernetes.io/name={GATEWAY_NAME}"
    """Label selector of the gateway's pods."""
    gateway_url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^(https?://[!-~]+)?$")] = Field(
        default="", description="a URL such as http://chatscale-gateway.chatscale-system.svc"
    )
    """Address of the gateway, for the pods of ShopAssistants. Empty: there is no gateway."""
    network_policy_peers: Annotated[tuple[dict[str, Any], ...], NoDecode] = Field(
        default=(), description="a JSON array of NetworkPolicyPeers"
    )
    """Who may connect to the serving port of replicas. Empty: everybody, and there are no NetworkPolicies."""
    network_policy_extra_ingress: Annotated[tuple[dict[str, Any], ...], NoDecode] = Field(
        default=(), description="a JSON array of NetworkPolicyIngressRules"
    )
    """Further ingress rules of each ChatModel's NetworkPolicy."""
    metrics_port: Port = 9100
    """Of the operator's own Prometheus metrics."""
    probes_port: Port = 8080
    """Of `/healthz`."""
    kube_context: str = ""
    """Context of the kubeconfig; empty means in-cluster credentials, or the current context outside a cluster."""

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("network_policy_peers", "network_policy_extra_ingress", mode="before")
    @classmethod
    def _parse_json(cls, value: object) -> object:
        # A ValueError (JSONDecodeError is one) becomes the message with the field's description.
        return json.loads(value or "[]") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.metrics_port == self.probes_port != 0:
            found = f"found {self.metrics_port} for both"
            raise PydanticCustomError(
                "equal_ports", f"{ENV_PREFIX}METRICS_PORT must differ from {ENV_PREFIX}PROBES_PORT, {found}"
            )
        return self
