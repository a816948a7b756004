"""What the reconcilers need from a cluster: a few verbs on kinds of objects. Tests use a fake behind this protocol.

Manifests have the API server's JSON format. Callers that need types parse them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from chatscale import names

Manifest: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of object and its place in the API."""

    api_version: str
    name: str
    plural: str

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """API version without the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, *parts: str) -> str:
        """URL path of the collection, or with `parts` of an object and its subresource.

        namespace: None gives the collection of all namespaces.
        """
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = ("namespaces", namespace) if namespace is not None else ()
        return "/".join((root, *scope, self.plural, *parts))


CHATMODEL: Final = Kind(names.API_VERSION, names.CHATMODEL.kind, names.CHATMODEL.plural)
SHOPASSISTANT: Final = Kind(names.API_VERSION, names.SHOPASSISTANT.kind, names.SHOPASSISTANT.plural)
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments")
SERVICE: Final = Kind("v1", "Service", "services")
CONFIGMAP: Final = Kind("v1", "ConfigMap", "configmaps")
AUTOSCALER: Final = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
SECRET: Final = Kind("v1", "Secret", "secrets")
"""The operator creates Secrets and cannot read any."""
POD: Final = Kind("v1", "Pod", "pods")
EVENT: Final = Kind("v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")

CHILD_KINDS: Final = {
    kind.name: kind for kind in (CONFIGMAP, DEPLOYMENT, SERVICE, DISRUPTION_BUDGET, NETWORK_POLICY, AUTOSCALER)
}
"""Kinds that the operator applies for a custom resource."""
WRITTEN_KINDS: Final = {**CHILD_KINDS, SECRET.name: SECRET, EVENT.name: EVENT, LEASE.name: LEASE}
"""Kinds that the operator writes as whole objects."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Objects that the operator watches: all of a kind, or those that match a label selector."""

    kind: Kind
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The identities in one list of a kind, without the objects."""

    resource_version: str
    """Resource version of the list: every change up to it is included."""
    uids: frozenset[str]


class Cluster(Protocol):
    """Every call ends within a deadline and raises only classes of `chatscale.errors`.

    NotFoundError: no such object. ConflictError: the object exists already, or it has changed since it was read.
    InvalidSpecError: the API server never accepts this child; only `apply` raises it. RejectedRequestError: it never
    accepts this request, which no spec describes. ForbiddenError: the API server rejects it until an
    administrator raises a quota or grants a right. ClusterUnavailableError: any other failure; a retry may succeed.
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """Read one object from the API server."""
        ...

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Manifest]:
        """Read the objects that match the label selector. namespace: None reads all namespaces."""
        ...

    async def list_identities(self, kind: Kind, namespace: str | None, selector: str = "") -> Listing:
        """Read which objects exist, as metadata only. namespace: None reads all namespaces."""
        ...

    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        """Server-side apply as `manager`; takes over fields that others own. Returns the resulting object."""
        ...

    async def delete(self, manifest: Manifest) -> None:
        """Delete exactly this object (by uid) and, in the background, its dependents. An absent object is a success."""
        ...

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> Manifest:
        """Merge `status` into the status subresource; None removes a field. Returns the resulting object."""
        ...

    async def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Manifest:
        """Merge into an object's annotations; None removes one. Returns the resulting object."""
        ...

    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> Manifest:
        """Set `spec.replicas` through the scale subresource. Returns the Scale, with the object's resource version.

        Raises ConflictError if the object's resource version is no longer the one in `chatmodel`.
        """
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Create an object. Returns it. Raises ConflictError if the name is taken."""
        ...

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace an object. Returns the result.

        Raises ConflictError if its resource version is no longer the one in `manifest`.
        """
        ...
