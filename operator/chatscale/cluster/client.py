"""`Cluster` on kubernetes.aio: one deadline per call, and every failure translated into a class of `chatscale.errors`.

It uses the library's connection, TLS and credentials, and plain JSON: manifests are dictionaries in this project, so
the library's generated model classes have no use here.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from typing_extensions import override

from chatscale import metrics, names
from chatscale.cluster.interface import CHATMODEL, WRITTEN_KINDS, Cluster, Kind, Listing, Manifest
from chatscale.errors import (
    ClusterUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidSpecError,
    NotFoundError,
    RejectedRequestError,
)

CALL_TIMEOUT_S: Final = 10.0
"""Deadline of one request. A healthy API server answers an apply within 20 ms."""
JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METHODS: Final = {
    "get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE",
}  # fmt: skip
"""HTTP methods by the Kubernetes verb."""

_UNTYPED: Final = "failed to create typed patch object"
"""The API server answers 500 to an apply whose fields have wrong types or duplicate list keys, which never succeeds
(kubernetes/kubernetes#139253)."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(configuration: Any) -> AsyncIterator["KubernetesCluster"]:
    """Yield a cluster and close its connections afterwards."""
    async with ApiClient(configuration) as api:
        api.user_agent = f"{names.EVENT_COMPONENT}/{names.VERSION}"
        yield KubernetesCluster(api)


class KubernetesCluster(Cluster):
    """A `Cluster` behind an API server."""

    def __init__(self, api: Any) -> None:
        self._api = api

    @override
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        return await self._call("get", kind, kind.path(namespace, name))

    @override
    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Manifest]:
        found = await self._call("list", kind, kind.path(namespace), query=_selecting(selector))
        items: list[Manifest] = found.get("items") or []
        # The items of a list do not repeat its kind.
        return [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in items]

    @override
    async def list_identities(self, kind: Kind, namespace: str | None, selector: str = "") -> Listing:
        path, query = kind.path(namespace), _selecting(selector)
        found = await self._call("list", kind, path, query=query, accept=METADATA_ONLY)
        uids = frozenset(item["metadata"]["uid"] for item in found.get("items") or ())
        return Listing(found["metadata"]["resourceVersion"], uids)

    @override
    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        kind, namespace, name = _address(manifest)
        query = [("fieldManager", manager), ("force", "true")]
        path = kind.path(namespace, name)
        return await self._call("patch", kind, path, query=query, body=manifest, content_type=APPLY)

    @override
    async def delete(self, manifest: Manifest) -> None:
        kind, namespace, name = _address(manifest)
        options = {"propagationPolicy": "Background", "preconditions": {"uid": manifest["metadata"]["uid"]}}
        try:
            await self._call("delete", kind, kind.path(namespace, name), body=options)
        except NotFoundError:
            log.debug("already deleted", extra={"object": f"{kind.name} {namespace}/{name}"})

    @override
    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> Manifest:
        path = kind.path(namespace, name, "status")
        query = [("fieldManager", names.FIELD_MANAGER)]
        return await self._call("patch", kind, path, query=query, body={"status": status}, content_type=MERGE)

    @override
    async def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Manifest:
        query = [("fieldManager", names.FIELD_MANAGER)]
        body = {"metadata": {"annotations": dict(annotations)}}
        return await self._call("patch", kind, kind.path(namespace, name), query=query, body=body, content_type=MERGE)

    @override
    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> Manifest:
        meta = chatmodel["metadata"]
        path = CHATMODEL.path(meta["namespace"], meta["name"], "scale")
        body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "spec": {"replicas": replicas}}
        query = [("fieldManager", manager)]
        return await self._call("patch", CHATMODEL, path, query=query, body=body, content_type=MERGE)

    @override
    async def create(self, manifest: Manifest) -> Manifest:
        kind, namespace, _ = _address(manifest)
        return await self._call("create", kind, kind.path(namespace), body=manifest)

    @override
    async def replace(self, manifest: Manifest) -> Manifest:
        kind, namespace, name = _address(manifest)
        return await self._call("update", kind, kind.path(namespace, name), body=manifest)

    async def served_kinds(self) -> frozenset[str]:
        """Plural names of the custom resources of our group that are installed and established."""
        try:
            found = await self._call("get", CHATMODEL, f"/apis/{names.API_VERSION}")
        except NotFoundError:
            return frozenset()
        return frozenset(str(resource.get("name")) for resource in found.get("resources", ()))

    async def _call(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Manifest | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Manifest:
        """Send one request. verb: as Kubernetes names it, a key of `METHODS`."""
        method = METHODS[verb]
        headers = {"Accept": accept, "Content-Type": content_type}
        metrics.API_REQUESTS_TOTAL.labels(verb, kind.name).inc()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                prepared = await self._api.param_serialize(
                    method, path, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
                )
                response = await self._api.call_api(prepared[0], prepared[1], header_params=prepared[2], body=body)
                payload = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            metrics.API_ERRORS_TOTAL.labels(kind.name, "none").inc()
            cause = str(error) or type(error).__name__
            raise ClusterUnavailableError(f"{method} {path}: no answer from the API server: {cause}") from error
        answer = _parse(payload)
        if response.status >= 400:  # noqa: PLR2004 - HTTP's first error status
            if response.status != 404:  # noqa: PLR2004 - a normal answer to a read of one object
                metrics.API_ERRORS_TOTAL.labels(kind.name, str(response.status)).inc()
            raise translate(response.status, answer, f"{method} {path}", is_apply=content_type == APPLY)
        return answer


def translate(status: int, answer: Mapping[str, Any], request: str, *, is_apply: bool) -> Exception:
    """Choose the error class by the caller's reaction. `answer` is a metav1.Status if the server sent one.

    is_apply: whether the request contains what a user specified. Everything else is the operator's own.
    """
    message = f"{request}: HTTP {status}: {answer.get('message') or 'no reason given'}"
    explanation = str(answer.get("message") or message)
    error: Exception
    match status:
        case 404:
            error = NotFoundError(message)
        case 403 if _is_terminating(answer):
            error = NotFoundError(message)
        case 403:
            error = ForbiddenError(explanation)
        case 409:
            error = ConflictError(message)
        case 400 | 422:
            error = InvalidSpecError(explanation) if is_apply else RejectedRequestError(message)
        case 500 if is_apply and _UNTYPED in message:
            error = InvalidSpecError(explanation)
        case _:
            error = ClusterUnavailableError(message)
    return error


def _is_terminating(answer: Mapping[str, Any]) -> bool:
    """Whether the namespace is being deleted, and every object in it."""
    causes = (answer.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def _selecting(selector: str) -> list[tuple[str, str]]:
    return [("labelSelector", selector)] if selector else []


def _parse(payload: bytes) -> Manifest:
    try:
        answer = json.loads(payload)
    except ValueError:  # an HTML page of a proxy, or an empty body
        return {}
    return answer if isinstance(answer, dict) else {}


def _address(manifest: Manifest) -> tuple[Kind, str, str]:
    return WRITTEN_KINDS[manifest["kind"]], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
