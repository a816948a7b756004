"""What the reconciler needs of a cluster: seven verbs. Tests stand a fake behind this protocol.

Manifests go in and out as the API server speaks them; whoever needs types parses them.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from chatscale import names

Manifest: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of object and where the API server keeps it."""

    api_version: str
    name: str
    plural: str

    def path(self, namespace: str, *parts: str) -> str:
        """URL path of the collection, or with `parts` of an object and its subresource."""
        root = "/api" if "/" not in self.api_version else "/apis"
        return "/".join((f"{root}/{self.api_version}/namespaces", namespace, self.plural, *parts))


CHATMODEL: Final = Kind(names.API_VERSION, names.KIND, names.PLURAL)
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments")
SERVICE: Final = Kind("v1", "Service", "services")
AUTOSCALER: Final = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
POD: Final = Kind("v1", "Pod", "pods")
EVENT: Final = Kind("v1", "Event", "events")

CHILD_KINDS: Final = {kind.name: kind for kind in (DEPLOYMENT, SERVICE, AUTOSCALER)}
"""Kinds that the operator creates for a ChatModel."""


class Cluster(Protocol):
    """Every call ends within a deadline and raises only classes of `chatscale.errors`.

    NotFoundError: no such object. ConflictError: it exists already, or has changed since it was read.
    InvalidSpecError: the API server will never take this object. ForbiddenError: it takes none for now, until
    an administrator lifts a quota or grants a right. ClusterUnavailableError: anything else, all of which may pass.
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """Read one object."""
        ...

    async def list(self, kind: Kind, namespace: str, selector: str = "") -> list[Manifest]:
        """Read the objects that carry the labels."""
        ...

    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        """Server-side apply as `manager`, taking over fields that others own. Returns the object after it."""
        ...

    async def delete(self, manifest: Manifest) -> None:
        """Delete this very object (by uid) and, in the background, what it owns. Already gone is fine."""
        ...

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> None:
        """Merge `status` into the status subresource; None removes a field."""
        ...

    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> None:
        """Set `spec.replicas` through the scale subresource, if the object is as it was read (else ConflictError)."""
        ...

    async def create(self, manifest: Manifest) -> None:
        """Create an object that nobody reads back: an Event."""
        ...
