"""The newest known state of every watched object: passes read from here and not from the API server.

Lists, watch events and the responses to this process's own writes all arrive here, in any order. Resource versions
decide which state is newer: within one resource type they are integers that grow (KEP-5504). An older state never
replaces a newer one, so a pass never acts on a state from before this process's own last write.

The cache returns the stored dictionaries themselves. Callers must not change them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from chatscale import names
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, Listing, Manifest
from chatscale.desired.manifest import ObjectKey, key_of

_KINDS_WITH_MANAGERS: Final = (CHATMODEL.name, DEPLOYMENT.name)
"""Their managedFields record who wrote `spec.replicas`. For other kinds they only cost memory."""
_REMEMBERED_REMOVALS: Final = 4096
"""A write's response can arrive after the watch event of the object's deletion, but only within seconds."""


def version_of(manifest: Manifest) -> int:
    """The resource version as a number. Raises ValueError if it is not one (against KEP-5504)."""
    return int(manifest["metadata"]["resourceVersion"])


class WatchCache:
    """Objects by key, and an index of the objects that concern each owner.

    owners_of: the custom resources that a change of the object concerns; they need not exist. A custom resource
    concerns itself. A key of kind `names.ROUTING_NAME` stands for all objects that have it: if an object gains or
    loses such a key, the change concerns all of them.
    """

    def __init__(self, owners_of: Callable[[Manifest], Iterable[ObjectKey]]) -> None:
        self._owners_of = owners_of
        self._objects: dict[ObjectKey, Manifest] = {}
        self._by_owner: defaultdict[ObjectKey, dict[ObjectKey, Manifest]] = defaultdict(dict)
        self._required: dict[ObjectKey, int] = {}
        self._removed_at: dict[str, int] = {}
        """Resource version of the removal, by uid."""

    # ---- read ----

    def get(self, key: ObjectKey) -> Manifest | None:
        """The object; None if there is none."""
        return self._objects.get(key)

    def concerning(self, owner: ObjectKey, kind: str) -> list[Manifest]:
        """All objects of a kind that concern this custom resource."""
        return [found for key, found in self._by_owner.get(owner, {}).items() if key.kind == kind]

    def keys(self, kind: str) -> list[ObjectKey]:
        """The keys of all objects of a kind."""
        return [key for key in self._objects if key.kind == kind]

    def is_behind(self, key: ObjectKey) -> bool:
        """Whether this process wrote a state of the object that has not arrived yet."""
        return key in self._required

    # ---- write ----

    def store(self, manifest: Manifest) -> set[ObjectKey]:
        """Keep this state of an object unless the cache has the same or a newer one.

        Returns the existing owners that the change concerns, before or after it; none if the cache has this very
        state. An older state concerns its owners too: the newer one came in the response to a write, which contains
        the changes of others as well, and no pass has read it yet.
        """
        key, version = key_of(manifest), version_of(manifest)
        known = self._objects.get(key)
        if version <= self._removed_at.get(manifest["metadata"]["uid"], 0) or (known and version_of(known) == version):
            return set()
        if known and version_of(known) > version:
            return self._existing(self._owners_of(known))
        if self._required.get(key, version) <= version:
            self._required.pop(key, None)
        owners = self._drop(key) if known else set()
        kept = self._objects[key] = _without_managers(manifest)
        for owner in (found := set(self._owners_of(kept))):
            self._by_owner[owner][key] = kept
        return self._existing(owners | found) | self._sharing(owners ^ found if known else found)

    def remove(self, manifest: Manifest) -> set[ObjectKey]:
        """Forget an object that was deleted, or that no longer matches its watch's label selector.

        Returns the existing owners that this concerns, and the object itself. A successor with the same name has
        another uid and stays. An object that matches the selector again has a higher resource version and returns.
        """
        key, uid = key_of(manifest), manifest["metadata"]["uid"]
        self._removed_at[uid] = version_of(manifest)
        if len(self._removed_at) > _REMEMBERED_REMOVALS:
            del self._removed_at[next(iter(self._removed_at))]
        known = self._objects.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return set()
        self._required.pop(key, None)
        owners = self._drop(key)
        return self._existing(owners) | (owners & {key}) | self._sharing(owners)

    def require(self, key: ObjectKey, version: int) -> None:
        """Mark the object as behind until a state of at least this resource version arrives."""
        known = self._objects.get(key)
        if known is not None and version_of(known) < version:
            self._required[key] = version

    def remove_vanished(self, kind: str, namespace: str | None, listing: Listing) -> set[ObjectKey]:
        """Forget the objects that a later list does not contain. Returns the owners that this concerns.

        kopf reports no deletion that happens while a watch is broken for longer than the API server keeps events.
        """
        vanished = [
            found
            for key, found in self._objects.items()
            if key.kind == kind
            and namespace in (None, key.namespace)
            and found["metadata"]["uid"] not in listing.uids
            and version_of(found) <= int(listing.resource_version)
        ]
        return {owner for found in vanished for owner in self.remove(found)}

    def _existing(self, owners: Iterable[ObjectKey]) -> set[ObjectKey]:
        return {owner for owner in owners if owner in self._objects}

    def _sharing(self, owners: Iterable[ObjectKey]) -> set[ObjectKey]:
        """The objects that have one of these routing names."""
        shared = (owner for owner in owners if owner.kind == names.ROUTING_NAME)
        return {key for owner in shared for key in self._by_owner.get(owner, ())}

    def _drop(self, key: ObjectKey) -> set[ObjectKey]:
        owners = set(self._owners_of(self._objects.pop(key)))
        for owner in owners:
            self._by_owner[owner].pop(key, None)
            if not self._by_owner[owner]:
                del self._by_owner[owner]
        return owners


def _without_managers(manifest: Manifest) -> Manifest:
    if manifest["kind"] in _KINDS_WITH_MANAGERS or "managedFields" not in manifest["metadata"]:
        return manifest
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    return {**manifest, "metadata": metadata}
