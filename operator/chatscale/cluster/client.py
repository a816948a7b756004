"""`Cluster` on kubernetes.aio: one deadline per call, every failure turned into one of ours, here and nowhere else.

It uses the library's connection, TLS and credentials, and JSON as it is: manifests are dictionaries in this
project, and the generated model classes would only be taken apart again.
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
from chatscale.cluster.interface import CHATMODEL, CHILD_KINDS, EVENT, Cluster, Kind, Manifest
from chatscale.errors import ClusterUnavailableError, ConflictError, ForbiddenError, InvalidSpecError, NotFoundError

CALL_TIMEOUT_S: Final = 10.0
"""For one request. A healthy API server answers an apply in 20 ms; one that takes 10 s is not healthy."""
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(configuration: Any) -> AsyncIterator["KubernetesCluster"]:
    """Yield a cluster; its connections are closed afterwards."""
    async with ApiClient(configuration) as api:
        api.user_agent = f"{names.EVENT_COMPONENT}/{names.VERSION}"
        yield KubernetesCluster(api)


class KubernetesCluster(Cluster):
    """A `Cluster` behind an API server."""

    def __init__(self, api: Any) -> None:
        self._api = api

    @override
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        return await self._call("GET", kind, kind.path(namespace, name))

    @override
    async def list(self, kind: Kind, namespace: str, selector: str = "") -> list[Manifest]:
        query = [("labelSelector", selector)] if selector else []
        found = await self._call("GET", kind, kind.path(namespace), query=query)
        items: list[Manifest] = found.get("items") or []
        # Lists leave out what every item has in common.
        return [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in items]

    @override
    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        kind, namespace, name = _address(manifest)
        query = [("fieldManager", manager), ("force", "true")]
        path = kind.path(namespace, name)
        return await self._call("PATCH", kind, path, query=query, body=manifest, content_type=APPLY)

    @override
    async def delete(self, manifest: Manifest) -> None:
        kind, namespace, name = _address(manifest)
        options = {"propagationPolicy": "Background", "preconditions": {"uid": manifest["metadata"]["uid"]}}
        try:
            await self._call("DELETE", kind, kind.path(namespace, name), body=options)
        except NotFoundError:
            log.debug("already gone", extra={"kind": kind.name, "object": f"{namespace}/{name}"})

    @override
    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> None:
        path = kind.path(namespace, name, "status")
        query = [("fieldManager", names.FIELD_MANAGER)]
        await self._call("PATCH", kind, path, query=query, body={"status": status}, content_type=MERGE)

    @override
    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> None:
        meta = chatmodel["metadata"]
        path = CHATMODEL.path(meta["namespace"], meta["name"], "scale")
        body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "spec": {"replicas": replicas}}
        await self._call("PATCH", CHATMODEL, path, query=[("fieldManager", manager)], body=body, content_type=MERGE)

    @override
    async def create(self, manifest: Manifest) -> None:
        await self._call("POST", EVENT, EVENT.path(manifest["metadata"]["namespace"]), body=manifest)

    async def has_chatmodels(self) -> bool:
        """Tell whether the API server serves our resource; false until the CRD is there and established."""
        try:
            found = await self._call("GET", CHATMODEL, f"/apis/{names.API_VERSION}")
        except NotFoundError:
            return False
        return any(resource.get("name") == names.PLURAL for resource in found.get("resources", ()))

    async def _call(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        headers = {"Accept": "application/json", "Content-Type": content_type}
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
            if response.status != 404:  # noqa: PLR2004 - the answer to "is it there?"
                metrics.API_ERRORS_TOTAL.labels(kind.name, str(response.status)).inc()
            raise translate(response.status, answer, f"{method} {path}")
        return answer


def translate(status: int, answer: Mapping[str, Any], request: str) -> Exception:
    """Choose the error by what the caller can do about it. `answer` is a metav1.Status, if the server sent one."""
    message = f"{request}: HTTP {status}: {answer.get('message') or 'no reason given'}"
    match status:
        case 404:
            return NotFoundError(message)
        case 403 if _is_terminating(answer):
            return NotFoundError(message)
        case 403:
            return ForbiddenError(str(answer.get("message") or message))
        case 409:
            return ConflictError(message)
        case 400 | 422:
            return InvalidSpecError(str(answer.get("message") or message))
        case _:
            return ClusterUnavailableError(message)


def _is_terminating(answer: Mapping[str, Any]) -> bool:
    """Whether the namespace is on its way out, and everything in it."""
    causes = (answer.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def _parse(payload: bytes) -> Manifest:
    try:
        answer = json.loads(payload)
    except ValueError:  # a proxy's page, or nothing at all
        return {}
    return answer if isinstance(answer, dict) else {}


def _address(manifest: Manifest) -> tuple[Kind, str, str]:
    return CHILD_KINDS[manifest["kind"]], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
