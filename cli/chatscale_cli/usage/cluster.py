"""Reads the logs of the gateway's pods and the ChatModels through a kubeconfig."""

from collections.abc import Iterator
from typing import Any

import urllib3
from kubernetes.client import CoreV1Api, CustomObjectsApi
from kubernetes.client.exceptions import ApiException

from chatscale import names
from chatscale_cli.errors import ClusterError
from chatscale_contract.gateway.endpoints import GATEWAY_NAME

_TIMEOUT_S = 60.0
"""Between two parts of a response."""


class GatewayLogs:
    """The gateway of one namespace. api: an `ApiClient`. Methods raise ClusterError."""

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def lines(self, since_s: int | None) -> Iterator[str]:
        """The lines of all gateway pods, of the last `since_s` seconds, pod by pod."""
        core = CoreV1Api(self._api)
        selector = f"{names.NAME_LABEL}={GATEWAY_NAME}"
        try:
            pods = core.list_namespaced_pod(self._namespace, label_selector=selector, _request_timeout=_TIMEOUT_S).items
            if not pods:
                raise ClusterError(f"namespace {self._namespace} has no pods with the label {selector}")
            options = {} if since_s is None else {"since_seconds": since_s}
            for pod in pods:
                response = core.read_namespaced_pod_log(
                    pod.metadata.name,
                    self._namespace,
                    container=pod.spec.containers[0].name,
                    _preload_content=False,
                    _request_timeout=_TIMEOUT_S,
                    **options,
                )
                yield from _split(response)
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"the logs of the gateway cannot be read: {_reason(error)}") from error

    def chatmodels(self) -> list[dict[str, Any]]:
        """The ChatModels of all namespaces."""
        try:
            found = CustomObjectsApi(self._api).list_cluster_custom_object(
                names.GROUP, names.VERSION, names.CHATMODEL.plural, _request_timeout=_TIMEOUT_S
            )
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"the ChatModels cannot be read: {_reason(error)}") from error
        items: list[dict[str, Any]] = found.get("items") or []
        return [{"kind": names.CHATMODEL.kind, **item} for item in items]


def _split(response: Any) -> Iterator[str]:
    rest = b""
    for part in response.stream(65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _reason(error: Exception) -> str:
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
