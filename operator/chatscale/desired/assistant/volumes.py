"""The volumes of an assistant's pod: configuration, knowledge, evaluation, secrets, and folders that it writes.

ConfigMaps of knowledge are optional volumes. The pod starts without them and reports the missing source, and the
kubelet removes the files of a ConfigMap that is deleted. Secrets are not optional: a pod without its keys must not
serve.
"""

from collections.abc import Iterator
from typing import Final

from chatscale import names
from chatscale.api.v1alpha1 import SecretKeyRef, ShopAssistant
from chatscale.api.v1alpha1.shopassistant import KnowledgeSource
from chatscale.desired.manifest import Manifest
from chatscale_contract.assistant import endpoints

INDEX_SIZE: Final = "2Gi"
"""Limit of the index's folder: 100,000 chunks need about 400 MB, and a new index is built beside the old one."""
SCRATCH_PATH: Final = "/tmp"  # noqa: S108 - an emptyDir of this pod alone
SCRATCH_SIZE: Final = "256Mi"
SIGNING_KEY: Final = "key"
"""Key of the Secret with the signing key."""
_OPTIONAL_OF_DESK: Final = ("signature", "apiToken", "accountId")
_READABLE: Final = 0o444


def volumes(assistant: ShopAssistant) -> list[Manifest]:
    """The pod's volumes."""
    spec = assistant.spec
    evaluation = spec.model.evaluation
    return [
        {"name": "configuration", "configMap": {"name": names.assistant_child(assistant.metadata.name)}},
        {"name": "secrets", "projected": {"defaultMode": _READABLE, "sources": [*_secrets(assistant)]}},
        {"name": "index", "emptyDir": {"sizeLimit": INDEX_SIZE}},
        {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH_SIZE}},
        *([_config_map("evaluation", evaluation.name)] if evaluation else []),
        *(_knowledge(source) for source in spec.knowledge if source.url is None),
    ]


def mounts(assistant: ShopAssistant) -> list[Manifest]:
    """The container's volume mounts."""
    spec = assistant.spec
    evaluation = endpoints.EVALUATION_FILE.rpartition("/")[0]
    return [
        _read_only("configuration", endpoints.CONFIG_MOUNT_PATH),
        _read_only("secrets", endpoints.SECRETS_MOUNT_PATH),
        {"name": "index", "mountPath": endpoints.INDEX_FOLDER},
        {"name": "tmp", "mountPath": SCRATCH_PATH},
        *([_read_only("evaluation", evaluation)] if spec.model.evaluation else []),
        *(
            _read_only(_volume_of(source), f"{endpoints.KNOWLEDGE_MOUNT_PATH}/{source.name}")
            for source in spec.knowledge
            if source.url is None
        ),
    ]


def named_secrets(assistant: ShopAssistant) -> dict[str, SecretKeyRef]:
    """The Secrets in the spec: the field of each, and the reference."""
    spec = assistant.spec
    hand_over = spec.guardrails.hand_over
    found = {
        "spec.model.keySecretRef": spec.model.key_secret_ref,
        "spec.identity.secretRef": spec.identity.secret_ref if spec.identity else None,
        "spec.guardrails.handOver.urlSecretRef": hand_over.url_secret_ref if hand_over else None,
        "spec.store.urlSecretRef": spec.store.url_secret_ref if spec.store else None,
        **{f"spec.tools[{tool.name}].tokenSecretRef": tool.token_secret_ref for tool in spec.tools},
    }
    return {field: ref for field, ref in found.items() if ref is not None}


def _secrets(assistant: ShopAssistant) -> Iterator[Manifest]:
    """Files below `SECRETS_MOUNT_PATH`, as the contract names them."""
    meta, spec = assistant.metadata, assistant.spec
    yield _file(SecretKeyRef(name=names.signing_secret(meta.name, meta.uid), key=SIGNING_KEY), "signing/key")
    if spec.model.key_secret_ref:
        yield _file(spec.model.key_secret_ref, "model/key")
    if spec.identity and spec.identity.secret_ref:
        yield _file(spec.identity.secret_ref, "identity/key")
    if spec.guardrails.hand_over:
        desk = spec.guardrails.hand_over.url_secret_ref
        yield _file(desk, "desk/url")
        for key in _OPTIONAL_OF_DESK:
            yield _file(SecretKeyRef(name=desk.name, key=key), f"desk/{key}", optional=True)
    if spec.store:
        yield _file(spec.store.url_secret_ref, "store/url")
    for tool in spec.tools:
        if tool.token_secret_ref:
            yield _file(tool.token_secret_ref, f"tools/{tool.name}/token")


def _file(ref: SecretKeyRef, path: str, *, optional: bool = False) -> Manifest:
    source: Manifest = {"name": ref.name, "items": [{"key": ref.key, "path": path}]}
    return {"secret": {**source, "optional": True} if optional else source}


def _knowledge(source: KnowledgeSource) -> Manifest:
    name = _volume_of(source)
    if source.claim is not None:
        return {"name": name, "persistentVolumeClaim": {"claimName": source.claim, "readOnly": True}}
    return _config_map(name, source.config_map or "")


def _config_map(volume: str, name: str) -> Manifest:
    return {"name": volume, "configMap": {"name": name, "optional": True}}


def _volume_of(source: KnowledgeSource) -> str:
    return f"knowledge-{source.name}"


def _read_only(volume: str, path: str) -> Manifest:
    return {"name": volume, "mountPath": path, "readOnly": True}
