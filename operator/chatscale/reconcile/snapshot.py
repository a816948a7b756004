"""One reading of everything in the cluster that belongs to a ChatModel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import override

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, ChatModelStatus, ObjectMeta
from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, DEPLOYMENT, POD, SERVICE, Cluster, Kind, Manifest
from chatscale.errors import InvalidSpecError, NotFoundError
from chatscale.observe.pods import Pod, read_pods

_FOUND_LENGTH: Final = 200
"""Of a faulty value in a message: where a field is missing, the value is everything around it."""


class Key(NamedTuple):
    """Which ChatModel."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        """namespace/name, as messages and logs name it."""
        return f"{self.namespace}/{self.name}"


class Revision(NamedTuple):
    """Which spec of which ChatModel: one made anew under an old name begins with generation 1 again."""

    uid: str
    generation: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ChatModel and what there is of it, as the API server had them."""

    manifest: Manifest
    """The ChatModel as read, managedFields included."""
    deployment: Manifest | None
    service: Manifest | None
    autoscalers: Sequence[Manifest]
    """Every HPA of the namespace, ours or not."""
    pods: tuple[Pod, ...]

    @property
    def meta(self) -> ObjectMeta:
        """The ChatModel's metadata."""
        return ObjectMeta.model_validate(self.manifest["metadata"])

    @property
    def status(self) -> ChatModelStatus:
        """The status as last written; an empty one if somebody left it unreadable."""
        try:
            return ChatModelStatus.model_validate(self.manifest.get("status") or {})
        except ValidationError:
            return ChatModelStatus()


async def take_snapshot(cluster: Cluster, key: Key) -> Snapshot | None:
    """Read a ChatModel and its parts; None if it is gone or on its way out, and its children with it."""
    try:
        manifest = await cluster.get(CHATMODEL, key.namespace, key.name)
    except NotFoundError:
        return None
    if manifest["metadata"].get("deletionTimestamp"):
        return None
    return Snapshot(
        manifest=manifest,
        deployment=await _get_if_there(cluster, DEPLOYMENT, key),
        service=await _get_if_there(cluster, SERVICE, key),
        autoscalers=await cluster.list(AUTOSCALER, key.namespace),
        pods=read_pods(await cluster.list(POD, key.namespace, names.selector_string(names.pod_selector(key.name)))),
    )


def parse_chatmodel(snapshot: Snapshot) -> ChatModel:
    """Validate the spec. The API server has done so before, but perhaps with an older CRD.

    Raises InvalidSpecError that names the object and, for each fault, field, expectation and found value.
    """
    try:
        return ChatModel(metadata=snapshot.meta, spec=snapshot.manifest.get("spec") or {}, status=snapshot.status)
    except ValidationError as error:
        faults = "; ".join(map(_describe, error.errors()))
        raise InvalidSpecError(f"ChatModel {snapshot.meta.namespace}/{snapshot.meta.name}: {faults}") from error


def _describe(fault: ErrorDetails) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    return f"{field}: {fault['msg']}, found {repr(fault['input'])[:_FOUND_LENGTH]}"


async def _get_if_there(cluster: Cluster, kind: Kind, key: Key) -> Manifest | None:
    try:
        return await cluster.get(kind, key.namespace, key.name)
    except NotFoundError:
        return None
