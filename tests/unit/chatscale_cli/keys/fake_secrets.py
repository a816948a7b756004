"""Secrets in memory, with the API server's rules for names, versions and lost answers."""

import copy
from dataclasses import dataclass, field

from typing_extensions import override

from chatscale_cli.keys.interface import ConflictError, ExistsError, Manifest, NoAnswerError, NotFoundError, Secrets
from chatscale_cli.keys.manifests import id_of
from chatscale_contract.gateway.keys import KeyId


@dataclass
class FakeSecrets(Secrets):
    stored: dict[KeyId, Manifest] = field(default_factory=dict)
    version: int = 0
    changed_by_others: bool = False
    """Somebody else writes the Secret after each read."""
    loses_answers: bool = False
    """Writes are carried out, and their answers are lost."""
    loses_requests: bool = False
    """Writes are lost."""
    unreadable: bool = False

    @property
    @override
    def default_namespace(self) -> str:
        return "demo"

    @override
    def get(self, key: KeyId) -> Manifest:
        if self.unreadable:
            raise NoAnswerError("no answer")
        if key not in self.stored:
            raise NotFoundError(f'secrets "{key.name}" not found')
        found = copy.deepcopy(self.stored[key])
        if self.changed_by_others:
            self._store(self.stored[key])
        return found

    @override
    def list_all(self, namespace: str | None, selector: str) -> list[Manifest]:
        name, _, value = selector.partition("=")
        return [
            copy.deepcopy(secret)
            for key, secret in self.stored.items()
            if namespace in {None, key.namespace} and (secret["metadata"].get("labels") or {}).get(name) == value
        ]

    @override
    def create(self, manifest: Manifest) -> None:
        if id_of(manifest) in self.stored:
            raise ExistsError(f'secrets "{id_of(manifest).name}" already exists')
        self._write(manifest)

    @override
    def replace(self, manifest: Manifest) -> None:
        self._check(manifest)
        self._write(manifest)

    @override
    def delete(self, manifest: Manifest) -> None:
        self._check(manifest)
        del self.stored[id_of(manifest)]

    def _check(self, manifest: Manifest) -> None:
        if self.stored[id_of(manifest)]["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified")

    def _write(self, manifest: Manifest) -> None:
        if not self.loses_requests:
            self._store(manifest)
        if self.loses_requests or self.loses_answers:
            raise NoAnswerError("the API server did not answer")

    def _store(self, manifest: Manifest) -> None:
        self.version += 1
        stored = copy.deepcopy(manifest)
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.stored[id_of(manifest)] = stored
