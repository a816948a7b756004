"""Reads a kubeconfig, and finds the pods of the gateway through the API server."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from kubernetes.client.rest import should_bypass_proxies
from yarl import URL

from chatscale import names
from chatscale_cli.errors import ClusterError, CommandError
from chatscale_cli.gateway.options import GATEWAY_NAMESPACE
from chatscale_cli.keys.api_server import api_client
from chatscale_contract.gateway.endpoints import API_PORT, GATEWAY_NAME

CALL_TIMEOUT_S: Final = 15.0
_SELECTOR: Final = f"{names.NAME_LABEL}={GATEWAY_NAME}"
_HTTPS: Final = "https"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a port-forward ends."""

    namespace: str
    service: str
    pod: str
    port: int
    scheme: str
    """http or https, as the gateway serves it."""


class ApiServer:
    """The API server of a kubeconfig. Methods raise ClusterError."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration
        self.base = URL(configuration.host)
        self.ssl = _ssl_context(configuration)
        self.server_name: str | None = configuration.tls_server_name
        bypass = should_bypass_proxies(configuration.host, configuration.no_proxy or "")
        self.proxy: str | None = None if bypass else configuration.proxy

    def headers(self) -> dict[str, str]:
        """Credentials. A login program of the kubeconfig may run."""
        token = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"Authorization": token} if token else {}

    async def find_target(self, session: aiohttp.ClientSession, namespace: str | None) -> Target:
        """A Ready pod of the gateway. namespace: None looks in the chart's, and then in all."""
        service = await self._find_service(session, namespace)
        metadata = service["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods"
        selector = ",".join(f"{label}={value}" for label, value in service["spec"].get("selector", {}).items())
        pods = await self._list(session, path, selector)
        ready = sorted(pod["metadata"]["name"] for pod in pods if _is_ready(pod))
        if not ready:
            where = f"Service {metadata['namespace']}/{metadata['name']}"
            raise ClusterError(f"{where} of the gateway has no ready pod, of {len(pods)} pods")
        port = _api_port(service)
        scheme = _HTTPS if port.get("name") == _HTTPS else "http"
        return Target(metadata["namespace"], metadata["name"], ready[0], API_PORT, scheme)

    async def _find_service(self, session: aiohttp.ClientSession, namespace: str | None) -> dict[str, Any]:
        place = f"namespace {namespace or GATEWAY_NAMESPACE}"
        # The Service of the metrics has the same label, but another port.
        listed = await self._list(session, f"/api/v1/namespaces/{namespace or GATEWAY_NAMESPACE}/services", _SELECTOR)
        found = [each for each in listed if _api_port(each)]
        if not found and namespace is None:
            place = "any namespace"
            found = [each for each in await self._list(session, "/api/v1/services", _SELECTOR) if _api_port(each)]
        if not found:
            remedy = "give the namespace of the gateway with -n, or its address with --url"
            raise ClusterError(f"no Service with the label {_SELECTOR} in {place}: {remedy}")
        if len(found) > 1:
            places = ", ".join(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in found)
            raise CommandError(f"there are several gateways, {places}: choose one with -n or --url")
        return found[0]

    async def _list(self, session: aiohttp.ClientSession, path: str, selector: str) -> list[dict[str, Any]]:
        url = self.base.joinpath(path.lstrip("/")).with_query(labelSelector=selector)
        try:
            async with session.get(
                url, headers=self.headers(), ssl=self.ssl, server_hostname=self.server_name, proxy=self.proxy,
                timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S), allow_redirects=False,
            ) as response:  # fmt: skip
                text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ClusterError(f"the API server {self.base} cannot be reached: {reason}") from error
        return _items(response.status, text, path)


@contextmanager
def open_api_server(kubeconfig: str | None, context: str | None) -> Iterator[ApiServer]:
    """Yield the API server of a kubeconfig. Raises ClusterError."""
    with api_client(kubeconfig, context) as (api, _):
        yield ApiServer(api.configuration)


def _items(status: int, text: bytes, path: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClusterError(f"the API server answered GET {path} with HTTP {status} without a JSON object")
    if status != HTTPStatus.OK:
        raise ClusterError(f"the API server denied GET {path}: {found.get('message') or f'HTTP {status}'}")
    items: list[dict[str, Any]] = found.get("items") or []
    return items


def _api_port(service: Mapping[str, Any]) -> dict[str, Any]:
    """The port that leads to the gateway's API; empty if the Service has none."""
    ports: list[dict[str, Any]] = service["spec"].get("ports") or []
    return next((port for port in ports if port.get("targetPort") in ("api", API_PORT)), {})


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    is_ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return is_ready and not pod["metadata"].get("deletionTimestamp")


def _ssl_context(configuration: Any) -> ssl.SSLContext | bool:
    """As the kubeconfig says."""
    if URL(configuration.host).scheme != _HTTPS:
        return True
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (ssl.SSLError, OSError) as error:
        raise ClusterError(f"the certificates of the kubeconfig cannot be used: {error}") from error
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
