"""`Secrets` behind an API server: kubeconfig, one deadline a request, and every failure as a class of ours.

It uses the connection and the credentials of the `kubernetes` package, and plain JSON.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config
from typing_extensions import override

from chatscale import __version__
from chatscale_cli.errors import ClusterError
from chatscale_cli.keys.interface import (
    ConflictError,
    ExistsError,
    Manifest,
    NoAnswerError,
    NotFoundError,
    Secrets,
)
from chatscale_cli.keys.manifests import id_of
from chatscale_contract.gateway.keys import KeyId

CALL_TIMEOUT_S: Final = 15.0
_JSON: Final = "application/json"
_NO_ANSWER: Final = (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError)
"""The request may have reached the API server."""
_BAD_KUBECONFIG: Final = (ConfigException, yaml.YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError)
"""The package does not check the types in a kubeconfig."""


@contextmanager
def connect(kubeconfig: str | None, context: str | None) -> Iterator["KubernetesSecrets"]:
    """Yield the Secrets of a cluster. Raises ClusterError.

    kubeconfig: path; None means KUBECONFIG or ~/.kube/config. context: None means the current one.
    """
    configuration = Configuration()
    # A repeated write would meet its own result.
    configuration.retries = False
    try:
        contexts, current = list_kube_config_contexts(kubeconfig)
        load_kube_config(kubeconfig, context, client_configuration=configuration, persist_config=False)
    except _BAD_KUBECONFIG as error:
        where = "the current context" if context is None else f"the context {context!r}"
        path = kubeconfig or "(KUBECONFIG or ~/.kube/config)"
        raise ClusterError(f"no cluster: {where} of the kubeconfig {path} cannot be used: {_reason(error)}") from error
    chosen = current if context is None else next(each for each in contexts if each["name"] == context)
    with ApiClient(configuration) as api:
        api.user_agent = f"chatscale-cli/{__version__}"
        yield KubernetesSecrets(api, chosen["context"].get("namespace") or "default", CALL_TIMEOUT_S)


class KubernetesSecrets(Secrets):
    """The Secrets that an API server stores."""

    def __init__(self, api: Any, default_namespace: str, timeout_s: float) -> None:
        self._api = api
        self._default_namespace = default_namespace
        self._timeout_s = timeout_s

    @property
    @override
    def default_namespace(self) -> str:
        return self._default_namespace

    @override
    def get(self, key: KeyId) -> Manifest:
        return self._call("GET", _path(key.namespace, key.name))

    @override
    def list_all(self, namespace: str | None, selector: str) -> list[Manifest]:
        found = self._call("GET", _path(namespace), query=[("labelSelector", selector)])
        items: list[Manifest] = found.get("items") or []
        return items

    @override
    def create(self, manifest: Manifest) -> None:
        self._call("POST", _path(id_of(manifest).namespace), body=manifest)

    @override
    def replace(self, manifest: Manifest) -> None:
        key = id_of(manifest)
        self._call("PUT", _path(key.namespace, key.name), body=manifest)

    @override
    def delete(self, manifest: Manifest) -> None:
        key, metadata = id_of(manifest), manifest["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        self._call("DELETE", _path(key.namespace, key.name), body={"preconditions": preconditions})

    def _call(
        self, method: str, path: str, *, query: list[tuple[str, str]] | None = None, body: Manifest | None = None
    ) -> Manifest:
        headers = {"Accept": _JSON, "Content-Type": _JSON}
        try:
            prepared = self._api.param_serialize(
                method,
                path,
                query_params=query or [],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._api.call_api(*prepared, _request_timeout=self._timeout_s)
            content: bytes = response.read()
        except _NO_ANSWER as error:
            raise NoAnswerError(f"the API server did not answer {method} {path}: {_reason(error)}") from error
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            host = self._api.configuration.host
            raise ClusterError(f"the API server {host} cannot be reached: {_reason(error)}") from error
        return _read(response.status, content)


def _read(status: int, content: bytes) -> Manifest:
    """The object of a response. Raises the error that its status means."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        # A proxy or another server answers: its text does not help.
        raise NoAnswerError(f"the API server answered HTTP {status} without a JSON object")
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return found
    message = str(found.get("message") or f"HTTP {status}")
    match status:
        case HTTPStatus.NOT_FOUND:
            raise NotFoundError(message)
        case HTTPStatus.CONFLICT if found.get("reason") == "AlreadyExists":
            raise ExistsError(f"{message}: choose another name, or rotate the key")
        case HTTPStatus.CONFLICT:
            raise ConflictError(message)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NoAnswerError(f"the API server answered HTTP {status}: {message}")
        case HTTPStatus.UNAUTHORIZED:
            raise ClusterError("the API server does not accept the credentials of the kubeconfig (HTTP 401)")
        case _:
            raise ClusterError(f"the API server denied the request: {message}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _path(namespace: str | None, name: str | None = None) -> str:
    """Names were checked: they have no character that a URL escapes."""
    scope = "" if namespace is None else f"/namespaces/{namespace}"
    return f"/api/v1{scope}/secrets" + ("" if name is None else f"/{name}")
