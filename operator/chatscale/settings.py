"""The operator's settings: read from the environment once, checked before anything starts.

Nothing else in the control plane reads the environment. A value that is not understood stops the
process with one line that names variable, expectation and found value: a typo must not become a default.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

ENV_PREFIX: Final = "CHATSCALE_OPERATOR_"

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE_LINK: Final = re.compile(r".*(_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT(_\d+_.*)?)")
"""What a kubelet sets for every Service of the namespace: one named chatscale-operator-* looks like ours."""
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """A setting cannot be used; the message is for the person who set it."""


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Settings:
    """One operator process. Every field is the environment variable `CHATSCALE_OPERATOR_<FIELD>`."""

    server_image: str = "chatscale-server:latest"
    """Image of replicas with engine Transformers that name none."""
    simulated_server_image: str = "chatscale-server-simulated:latest"
    """Image of replicas with engine Simulated that name none."""
    namespaces: tuple[str, ...] = ()
    """Comma-separated in the environment; empty watches the whole cluster."""
    log_level: str = "INFO"
    log_format: LogFormat = LogFormat.JSON
    metrics_port: int = 9100
    """TCP port of the operator's own Prometheus metrics; 0 turns them off."""
    probes_port: int = 8080
    """TCP port of `/healthz`; 0 turns it off."""
    kube_context: str = ""
    """Context of the kubeconfig to use; empty means in-cluster credentials, or else the current context."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read and check all settings. Raises SettingsError for a bad value or an unknown `CHATSCALE_OPERATOR_*`."""
        known = {ENV_PREFIX + field.name.upper() for field in fields(cls)}
        ours = {name for name in environ if name.startswith(ENV_PREFIX)}
        unknown = sorted(name for name in ours - known if not _SERVICE_LINK.fullmatch(name))
        if unknown:
            raise SettingsError(f"{unknown[0]} is not a setting of the operator; known are {', '.join(sorted(known))}")
        default = cls()
        settings = cls(
            server_image=_image(environ, "SERVER_IMAGE", default.server_image),
            simulated_server_image=_image(environ, "SIMULATED_SERVER_IMAGE", default.simulated_server_image),
            namespaces=_namespaces(environ, "NAMESPACES"),
            log_level=_choice(environ, "LOG_LEVEL", default.log_level, _LOG_LEVELS),
            log_format=LogFormat(_choice(environ, "LOG_FORMAT", default.log_format, tuple(LogFormat))),
            metrics_port=_port(environ, "METRICS_PORT", default.metrics_port),
            probes_port=_port(environ, "PROBES_PORT", default.probes_port),
            kube_context=environ.get(ENV_PREFIX + "KUBE_CONTEXT", default.kube_context),
        )
        if settings.metrics_port == settings.probes_port != 0:
            found = f"found {settings.metrics_port} for both"
            raise SettingsError(f"{ENV_PREFIX}METRICS_PORT must differ from {ENV_PREFIX}PROBES_PORT, {found}")
        return settings


def _image(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(ENV_PREFIX + name, default)
    if not value or any(character.isspace() for character in value):
        raise SettingsError(f"{ENV_PREFIX}{name} must be a container image, found {value!r}")
    return value


def _namespaces(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in environ.get(ENV_PREFIX + name, "").split(",") if part.strip())
    for namespace in found:
        if not _NAMESPACE.fullmatch(namespace):
            raise SettingsError(f"{ENV_PREFIX}{name} must be names of namespaces with commas, found {namespace!r}")
    return found


def _choice(environ: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = environ.get(ENV_PREFIX + name, default)
    if value not in allowed:
        raise SettingsError(f"{ENV_PREFIX}{name} must be one of {', '.join(allowed)}, found {value!r}")
    return value


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(ENV_PREFIX + name, str(default))
    if not value.isascii() or not value.isdigit() or int(value) > 65_535:  # noqa: PLR2004 - the largest TCP port
        raise SettingsError(f"{ENV_PREFIX}{name} must be a TCP port from 0 (off) to 65535, found {value!r}")
    return int(value)
