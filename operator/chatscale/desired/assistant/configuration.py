"""The ConfigMap with the ShopAssistant that its pods read, and the digest that makes a changed spec roll out.

The pinned digests of tools are in the ConfigMap and not in the digest: a new pin restarts no pod.
"""

import hashlib
import json
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ShopAssistant, ShopAssistantSpec
from chatscale.desired.manifest import HASH_LENGTH, Manifest, child_metadata, with_template_hash
from chatscale_contract.assistant import endpoints

SPEC_FILE_NAME = endpoints.SPEC_FILE.removeprefix(f"{endpoints.CONFIG_MOUNT_PATH}/")
_NOT_READ_BY_PODS = {"replicas", "resources", "image", "image_pull_secrets"}


def build_configuration(assistant: ShopAssistant, pins: dict[str, str]) -> Manifest:
    """The ConfigMap. pins: the pinned digest of each tool server that has one.

    The kubelet copies its file into running pods within about a minute.
    """
    meta = assistant.metadata
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.SHOPASSISTANT.kind,
        "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "spec": assistant.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": {"tools": [{"name": name, "digest": digest} for name, digest in sorted(pins.items())]},
    }
    return with_template_hash(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": child_metadata(assistant, names.assistant_child(meta.name)),
            "data": {SPEC_FILE_NAME: _as_json(document)},
        }
    )


def spec_digest(spec: ShopAssistantSpec) -> str:
    """Changes exactly when a field changes that pods read at their start.

    Fields with their default value do not count: a field that a later version adds restarts no pod.
    """
    read = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_READ_BY_PODS)
    return hashlib.sha256(_as_json(read).encode()).hexdigest()[:HASH_LENGTH]


def _as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
