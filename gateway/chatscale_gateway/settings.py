"""The gateway's settings: read from the environment once and validated before anything starts.

Nothing else in the gateway reads the environment. A bad value or an unknown `CHATSCALE_GATEWAY_*` variable stops the
process with one line that names the variable, the expected and the found value: a typo must not become a default.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, IPvAnyNetwork, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode, SettingsConfigDict

from chatscale_contract.gateway.endpoints import ADMIN_PORT, API_PORT, LIVENESS_PORT
from chatscale_contract.gateway.key_secret import POLICY_FIELDS, MalformedKeyError, parse_policy
from chatscale_contract.server.environment import Env
from chatscale_process.settings import LogFormat, ProcessSettings

ENV_PREFIX: Final = "CHATSCALE_GATEWAY_"

_MIB: Final = 1024**2

Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
PodName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
PathPrefix = Annotated[str, StringConstraints(max_length=128, pattern=r"^(/[A-Za-z0-9._~-]+)*$")]
Origin = Annotated[str, StringConstraints(max_length=255, pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$")]
Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^(https?://[!-~]+)?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Port = Annotated[int, Field(ge=1, le=65_535, description="a TCP port from 1 to 65535")]


class AuthMode(StrEnum):
    """Who may use the API."""

    KEYS = "Keys"
    """Owners of API keys, and of tokens if an identity provider is configured."""
    NONE = "None"
    """Everybody who reaches the gateway."""


class Settings(ProcessSettings):
    """One gateway process. Every field but `otlp_endpoint` is the environment variable `CHATSCALE_GATEWAY_<FIELD>`.

    A field's description is the expectation that an error message states.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX)
    program = "gateway"
    without_prefix: ClassVar[Mapping[str, str]] = {"otlp_endpoint": Env.OTLP_ENDPOINT}

    namespaces: Annotated[tuple[Namespace, ...], NoDecode] = Field(
        default=(), description="a comma-separated list of namespace names"
    )
    """Namespaces of ChatModels, comma-separated in the environment; empty serves the whole cluster."""
    pod_name: PodName = Field(default="gateway", description="the name of a pod")
    """Name of this pod: peers and the operator know the gateway by it."""
    pod_namespace: Namespace | Literal[""] = Field(default="", description="the name of a namespace")
    """Namespace of the gateway's pods. Empty outside a cluster: the gateway then has no peers."""
    instance: LabelValue = Field(default="", description="the value of a label")
    """Value of the label `app.kubernetes.io/instance` on the gateway's pods, i.e. the Helm release. Empty: any."""
    auth: AuthMode = Field(default=AuthMode.KEYS, description=f"one of {', '.join(AuthMode)}")
    key_namespaces: Annotated[tuple[Namespace | Literal["*"], ...], NoDecode] = Field(
        default=(), description="a comma-separated list of namespace names, or *"
    )
    """Namespaces of the Secrets with API keys, comma-separated in the environment; `*` reads all. Empty: the
    gateway's own namespace, or `namespaces` outside a cluster."""
    oidc_issuer: Url = Field(default="", description="a URL such as https://id.example/realms/shop")
    """Value of `iss` in the tokens that count beside API keys. Empty: no tokens."""
    oidc_audience: Annotated[str, Field(max_length=255)] = Field(default="", description="at most 255 characters")
    """Value that `aud` of a token must contain. Required with an issuer."""
    oidc_jwks_url: Url = Field(default="", description="a URL such as https://id.example/keys")
    """URL of the issuer's key set. Empty: found by OpenID Connect Discovery."""
    oidc_claims: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description='a JSON object from fields of a policy to claims, such as {"models": "groups"}',
    )
    """Field of a policy, as in a Secret, to the claim that sets it; JSON in the environment."""
    oidc_policy: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description='a JSON object of texts, such as {"requestsPerMinute": "60"}'
    )
    """Fields of a policy, as in a Secret, for tokens without a claim for them; JSON in the environment."""
    api_port: Port = API_PORT
    admin_port: Port = ADMIN_PORT
    liveness_port: Port = LIVENESS_PORT
    max_body_bytes: Annotated[int, Field(ge=1024, le=1024 * _MIB)] = Field(
        default=16 * _MIB, description="a number of bytes from 1024 to 1073741824"
    )
    """Of one request; a larger body gets 413."""
    max_held_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * _MIB)] = Field(
        default=192 * _MIB, description="a number of bytes from 1024 to 68719476736"
    )
    """Of the bodies of held requests, over all models. `memory_limit_bytes` can lower it."""
    memory_limit_bytes: Annotated[int, Field(ge=0)] = Field(default=0, description="a number of bytes from 0")
    """Of the container. It limits the bodies of all requests together; 0 means the chart's limit."""
    path_prefix: PathPrefix = Field(default="", description="a path such as /llm, without a slash at its end")
    """Clients may put it before every path: for an ingress that does not remove it."""
    pages: bool = Field(default=True, description="true or false")
    """Serve the chat page at `/` and the live page at `/live`."""
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = Field(
        default=(), description="a comma-separated list of origins such as https://shop.example, or *"
    )
    """Origins whose pages may call the API, comma-separated in the environment; `*` allows all."""
    tls_cert_file: str = Field(default="", description="the path of a file")
    """Certificate chain of the API port in PEM format, read again when it changes. Empty: plain HTTP."""
    tls_key_file: str = Field(default="", description="the path of a file")
    """Private key of the certificate, not encrypted."""
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(), description="a comma-separated list of networks without host bits, such as 10.0.0.0/8"
    )
    """Networks of proxies whose `X-Forwarded-For` the access log uses, comma-separated in the environment."""
    endpoint_delay_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=10, description="a number of seconds from 0 to 300"
    )
    """After SIGTERM the gateway still accepts connections for this long, while its endpoints are removed."""
    grace_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=600, description="a number of seconds from 1 to 3600"
    )
    """After SIGTERM streams and held requests may last for this long, the endpoint delay included."""
    response_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=600, description="a number of seconds from 1 to 86400"
    )
    """Of a replica: until the headers of its response, and between two parts of a stream."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="one of DEBUG, INFO, WARNING, ERROR"
    )
    log_format: LogFormat = Field(default=LogFormat.JSON, description=f"one of {', '.join(LogFormat)}")
    otlp_endpoint: str = ""
    """Read from `OTEL_EXPORTER_OTLP_ENDPOINT`: OTLP/HTTP endpoint for traces; empty means no traces. OpenTelemetry's
    SDK reads it, and the other OTEL_* variables, by itself."""
    kube_context: str = ""
    """Context of the kubeconfig; empty means in-cluster credentials, or the current context outside a cluster."""

    @field_validator("namespaces", "key_namespaces", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("oidc_claims", "oidc_policy", mode="before")
    @classmethod
    def _parse_json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) and value else value or {}
        except ValueError:
            return value

    @model_validator(mode="after")
    def _oidc_is_complete(self) -> Self:
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            message = (
                f"{ENV_PREFIX}OIDC_ISSUER and {ENV_PREFIX}OIDC_AUDIENCE must be set together, found only one of them"
            )
            raise _incomplete(message)
        if unknown := sorted(self.oidc_claims.keys() - set(POLICY_FIELDS)):
            fields = ", ".join(POLICY_FIELDS)
            message = f"{ENV_PREFIX}OIDC_CLAIMS: {unknown[0]} is not a field of a policy; fields are {fields}"
            raise _incomplete(message)
        try:
            parse_policy(self.oidc_policy)
        except MalformedKeyError as error:
            raise _incomplete(f"{ENV_PREFIX}OIDC_POLICY: {error}") from error
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = {"API_PORT": self.api_port, "ADMIN_PORT": self.admin_port, "LIVENESS_PORT": self.liveness_port}
        if len(set(ports.values())) < len(ports):
            found = ", ".join(f"{ENV_PREFIX}{name} {port}" for name, port in ports.items())
            raise PydanticCustomError("equal_ports", f"the ports must differ, found {found}")
        return self

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            found = f"found {self.tls_cert_file!r} and {self.tls_key_file!r}"
            message = f"{ENV_PREFIX}TLS_CERT_FILE and {ENV_PREFIX}TLS_KEY_FILE must be set together, {found}"
            raise PydanticCustomError("half_tls", message)
        return self

    @model_validator(mode="after")
    def _delay_fits_grace(self) -> Self:
        if self.endpoint_delay_seconds >= self.grace_seconds:
            found = f"found {self.endpoint_delay_seconds} and {self.grace_seconds}"
            message = f"{ENV_PREFIX}ENDPOINT_DELAY_SECONDS must be below {ENV_PREFIX}GRACE_SECONDS, {found}"
            raise PydanticCustomError("long_delay", message)
        return self


def _incomplete(message: str) -> PydanticCustomError:
    """message: as it is, also with braces, which a template would replace."""
    return PydanticCustomError("oidc", "{message}", {"message": message})
