"""A `Cluster` in memory that behaves like the API server where the operator relies on it.

It has server-side apply with ownership per field, the default of a Deployment's `replicas`, generations, resource
versions with optimistic locking, and watch events. An apply that changes nothing is no write. `writes` lists the real
changes, and `calls` every request.
"""

import copy
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from chatscale.cluster.interface import CHATMODEL, CHILD_KINDS, LEASE, POD, SECRET, SHOPASSISTANT, Kind, Listing, Watch
from chatscale.errors import ConflictError, InvalidSpecError, NotFoundError
from tests.support.builders import Manifest

Path = tuple[str, ...]
Owner = tuple[str, str]
"""Field manager and subresource."""

KINDS = {
    **CHILD_KINDS,
    **{kind.name: kind for kind in (CHATMODEL, SHOPASSISTANT, POD, LEASE, SECRET)},
}


class FakeCluster:
    """Objects by (kind, namespace, name). The arrange methods (`put`, `user_sets_spec`, ...) are not in `writes`."""

    def __init__(self, *manifests: Manifest) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.owners: dict[tuple[str, str, str], dict[Owner, set[Path]]] = {}
        self.events: list[Manifest] = []
        self.writes: list[str] = []
        self.calls: list[str] = []
        self._faults: dict[str, list[Exception]] = defaultdict(list)
        self._versions = itertools.count(100)
        self._refusal = ""
        self._watched: dict[tuple[str, str, str], Manifest] = {}
        for manifest in manifests:
            self.put(manifest)

    # ---- arrange ----

    def put(self, manifest: Manifest) -> None:
        """Someone else creates or changes this object."""
        key = _key(manifest)
        self.objects[key] = copy.deepcopy(manifest)
        self.objects[key]["metadata"].setdefault("uid", f"uid-{key[0]}-{key[2]}")
        self.owners.setdefault(key, {})
        self._bump(key)

    def remove(self, kind: Kind, name: str = "tiny", namespace: str = "demo") -> None:
        self.objects.pop((kind.name, namespace, name))

    def fail(self, verb: str, *errors: Exception) -> None:
        """The next calls of this verb ("get", "apply Deployment", ...) raise these errors, one each."""
        self._faults[verb].extend(errors)

    def refuse_templates(self, why: str) -> None:
        """From now on every apply of a Deployment's template is invalid; an apply of its count alone is valid."""
        self._refusal = why

    def user_sets_spec(self, name: str = "tiny", namespace: str = "demo", **fields: Any) -> None:
        """A user's `kubectl apply` changes these fields of a ChatModel's spec and becomes their only owner."""
        key = (CHATMODEL.name, namespace, name)
        self._update(key, fields, ("kubectl-client-side-apply", ""))

    def autoscaler_sets_replicas(self, replicas: int, kind: Kind = CHATMODEL, name: str = "tiny") -> None:
        """A HorizontalPodAutoscaler scales through the scale subresource."""
        self._update((kind.name, "demo", name), {"replicas": replicas}, ("kube-controller-manager", "scale"))

    def settle_deployment(self, name: str = "tiny", namespace: str = "demo") -> None:
        """The Deployment controller has finished the rollout."""
        key = ("Deployment", namespace, name)
        deployment = self.objects[key]
        replicas = deployment["spec"]["replicas"]
        generation = deployment["metadata"]["generation"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        deployment["status"] = {"observedGeneration": generation, **counts}
        self._bump(key)

    def watch_events(self) -> list[tuple[str, Manifest]]:
        """(type, object) of each change since the last call, as watches would deliver them.

        A test may also edit `the(...)` in place; that counts as a change by someone else.
        """
        gone = [key for key in self._watched if self._is_gone(key)]
        found = [("DELETED", self._watched.pop(key)) for key in gone]
        for key in self.objects:
            before = self._watched.get(key)
            if before == (now := self._read(key)):
                continue
            if before and before["metadata"]["resourceVersion"] == now["metadata"]["resourceVersion"]:
                self._bump(key)
                now = self._read(key)
            self._watched[key] = copy.deepcopy(now)
            found.append(("MODIFIED" if before else "ADDED", now))
        return found

    def snapshot(self) -> list[Manifest]:
        """All objects, as a list of everything would return them."""
        return [self._read(key) for key in self.objects]

    def _is_gone(self, key: tuple[str, str, str]) -> bool:
        """Whether the object that watches have reported under this name no longer exists."""
        now = self.objects.get(key)
        return now is None or now["metadata"]["uid"] != self._watched[key]["metadata"]["uid"]

    # ---- look ----

    def the(self, kind: Kind, name: str = "tiny", namespace: str = "demo") -> Manifest:
        return self.objects[kind.name, namespace, name]

    def has(self, kind: Kind, name: str = "tiny", namespace: str = "demo") -> bool:
        return (kind.name, namespace, name) in self.objects

    def owners_of_replicas(self, kind: Kind, name: str = "tiny", namespace: str = "demo") -> set[str]:
        owners = self.owners[kind.name, namespace, name]
        return {manager for (manager, _), paths in owners.items() if ("spec", "replicas") in paths}

    def condition(self, kind: str, name: str = "tiny") -> tuple[str, str]:
        """(status, reason) of a condition of a ChatModel."""
        found = self._condition(kind, name)
        return found["status"], found["reason"]

    def message(self, kind: str, name: str = "tiny") -> str:
        """The message of a condition of a ChatModel."""
        return str(self._condition(kind, name)["message"])

    def _condition(self, kind: str, name: str) -> Manifest:
        conditions = self.the(CHATMODEL, name)["status"]["conditions"]
        return next(c for c in conditions if c["type"] == kind)

    def event_reasons(self) -> list[str]:
        """Reasons of all Events since the last call."""
        reasons = [event["reason"] for event in self.events]
        self.events.clear()
        return reasons

    def written(self) -> list[str]:
        """All writes since the last call."""
        writes = list(self.writes)
        self.writes.clear()
        return writes

    def requests(self) -> list[str]:
        """All requests since the last call."""
        calls = list(self.calls)
        self.calls.clear()
        return calls

    # ---- Cluster ----

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        self._called("get", kind.name)
        return self._read((kind.name, namespace, name))

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Manifest]:
        self._called("list", kind.name)
        return [*self._select(kind, namespace, selector)]

    async def list_identities(self, kind: Kind, namespace: str | None, selector: str = "") -> Listing:
        self._called("list", kind.name)
        uids = frozenset(found["metadata"]["uid"] for found in self._select(kind, namespace, selector))
        return Listing(str(next(self._versions)), uids)

    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        self._called("apply", manifest["kind"])
        if self._refusal and "template" in manifest.get("spec", {}):
            raise InvalidSpecError(self._refusal)
        key, owner = _key(manifest), (manager, "")
        before = copy.deepcopy(self.objects.get(key))
        found = self.objects.setdefault(
            key, {"metadata": {"uid": f"uid-{key[0]}-{next(self._versions)}", "generation": 0}}
        )
        owners = self.owners.setdefault(key, {})
        owners_before = copy.deepcopy(owners)
        leaves = _leaves(manifest)
        for path in owners.get(owner, set()) - leaves.keys():
            if not any(path in paths for other, paths in owners.items() if other != owner):
                _remove(found, path)
        for path, value in leaves.items():
            for other, paths in owners.items():
                if other != owner and path in paths and _at(found, path) != value:
                    paths.discard(path)
            _set(found, path, copy.deepcopy(value))
        owners[owner] = set(leaves)
        if key[0] == "Deployment":
            found["spec"].setdefault("replicas", 1)
        if found != before or owners != owners_before:
            self.writes.append(f"apply {key[0]} as {manager}")
            self._bump(key, spec_changed=before is None or found.get("spec") != before.get("spec"))
        return self._read(key)

    async def delete(self, manifest: Manifest) -> None:
        self._called("delete", manifest["kind"])
        key = _key(manifest)
        found = self.objects.get(key)
        if found is None:
            return
        if found["metadata"]["uid"] != manifest["metadata"]["uid"]:
            raise ConflictError(f"{key}: the uid in the precondition is not that of the object")
        del self.objects[key]
        self.writes.append(f"delete {key[0]}")

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> Manifest:
        self._called("patch_status", kind.name)
        key = (kind.name, namespace, name)
        before = self._read(key).get("status") or {}
        after = _merged(before, status)
        if after != before:
            self.objects[key]["status"] = after
            self.writes.append("patch status")
            self._bump(key)
        return self._read(key)

    async def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Manifest:
        self._called("annotate", kind.name)
        key = (kind.name, namespace, name)
        before = self._read(key)["metadata"].get("annotations") or {}
        after = _merged(before, dict(annotations))
        if after != before:
            self.objects[key]["metadata"]["annotations"] = after
            self.writes.append(f"annotate {kind.name} {name}")
            self._bump(key)
        return self._read(key)

    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> Manifest:
        self._called("write_scale", CHATMODEL.name)
        key = _key(chatmodel)
        if self._read(key)["metadata"]["resourceVersion"] != chatmodel["metadata"]["resourceVersion"]:
            raise ConflictError(f"{key}: the object has been modified")
        self._update(key, {"replicas": replicas}, (manager, "scale"))
        self.writes.append(f"scale {key[0]} to {replicas}")
        meta = self.objects[key]["metadata"]
        return {"kind": "Scale", "metadata": {"name": meta["name"], "resourceVersion": meta["resourceVersion"]}}

    async def create(self, manifest: Manifest) -> Manifest:
        self._called("create", manifest["kind"])
        if manifest["kind"] == "Event":
            if any(event["metadata"]["name"] == manifest["metadata"]["name"] for event in self.events):
                raise ConflictError("the event exists")
            self.events.append(copy.deepcopy(manifest))
            return copy.deepcopy(manifest)
        key = _key(manifest)
        if key in self.objects:
            raise ConflictError(f"{key} exists")
        self.put(manifest)
        self.writes.append(f"create {key[0]}")
        return self._read(key)

    async def replace(self, manifest: Manifest) -> Manifest:
        self._called("replace", manifest["kind"])
        key = _key(manifest)
        if self._read(key)["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise ConflictError(f"{key}: the object has been modified")
        self.put(manifest)
        self.writes.append(f"replace {key[0]}")
        return self._read(key)

    # ---- inside ----

    def _select(self, kind: Kind, namespace: str | None, selector: str) -> Iterator[Manifest]:
        for key, found in self.objects.items():
            if key[0] == kind.name and namespace in (None, key[1]) and _matches(found, selector):
                yield self._read(key)

    def _called(self, verb: str, kind: str) -> None:
        self.calls.append(f"{verb} {kind}")
        for name in (f"{verb} {kind}", verb):
            if self._faults[name]:
                raise self._faults[name].pop(0)

    def _read(self, key: tuple[str, str, str]) -> Manifest:
        if key not in self.objects:
            raise NotFoundError(f"{key} not found")
        found = copy.deepcopy(self.objects[key])
        kind = KINDS[key[0]]
        fields = [
            {"manager": manager, "subresource": subresource, "fieldsV1": _as_fields(paths)}
            for (manager, subresource), paths in self.owners.get(key, {}).items()
        ]
        found |= {"apiVersion": kind.api_version, "kind": kind.name}
        found["metadata"]["managedFields"] = fields
        return found

    def _update(self, key: tuple[str, str, str], spec: Manifest, owner: Owner) -> None:
        found, owners = self.objects[key], self.owners.setdefault(key, {})
        for name, value in spec.items():
            path = ("spec", name)
            if _at(found, path) == value:
                continue
            for paths in owners.values():
                paths.discard(path)
            owners.setdefault(owner, set()).add(path)
            _set(found, path, copy.deepcopy(value))
        self._bump(key, spec_changed=True)

    def _bump(self, key: tuple[str, str, str], *, spec_changed: bool = False) -> None:
        meta = self.objects[key]["metadata"]
        meta["resourceVersion"] = str(next(self._versions))
        meta["generation"] = meta.get("generation", 0) + spec_changed


def matches(manifest: Manifest, watch: Watch) -> bool:
    """Whether a watch covers the object."""
    return manifest["kind"] == watch.kind.name and _matches(manifest, watch.selector)


def _key(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _matches(manifest: Manifest, selector: str) -> bool:
    """Whether the labels match; a label without a value must exist, one `in (a,b)` has one of these values."""
    labels = manifest["metadata"].get("labels") or {}
    name, has_set, values = selector.partition(" in ")
    if has_set:
        return labels.get(name) in values.strip("()").split(",")
    terms = [part.partition("=") for part in selector.split(",") if part]
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in terms)


def _leaves(manifest: Manifest) -> dict[Path, Any]:
    """Fields that an apply owns; lists count as one field, which is coarser than the API server."""
    found: dict[Path, Any] = {}

    def walk(value: Any, path: Path) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(inner, (*path, name))
        else:
            found[path] = value

    walk({part: value for part, value in manifest.items() if part in {"metadata", "spec", "data"}}, ())
    return found


def _at(manifest: Manifest, path: Path) -> Any:
    value: Any = manifest
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _set(manifest: Manifest, path: Path, value: Any) -> None:
    for name in path[:-1]:
        manifest = manifest.setdefault(name, {})
    manifest[path[-1]] = value


def _remove(manifest: Manifest, path: Path) -> None:
    for name in path[:-1]:
        manifest = manifest.get(name, {})
    manifest.pop(path[-1], None)


def _as_fields(paths: set[Path]) -> Manifest:
    fields: Manifest = {}
    for path in paths:
        inner = fields
        for name in path:
            inner = inner.setdefault(f"f:{name}", {})
    return fields


def _merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386): null removes a member, and a list replaces the whole list.

    The API server prunes nulls inside lists, as no field of ours is nullable.
    """
    if not isinstance(patch, dict):
        return _pruned(patch)
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(inner) for name, inner in value.items() if inner is not None}
    return [_pruned(inner) for inner in value] if isinstance(value, list) else value
