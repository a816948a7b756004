"""What a Deployment's template was built from, recorded in annotations of the Deployment (0016).

An operator that starts, possibly as a new version, can tell from them whether the ChatModel's spec changed or only the
operator did: its images or its code. The annotations are no part of the template hash and of the pod template.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from chatscale import __version__, names
from chatscale.api.v1alpha1 import ChatModel, ChatModelSpec, Device
from chatscale.desired.manifest import HASH_LENGTH, Manifest, template_hash_of
from chatscale.desired.workload import ServerImages, build_deployment
from chatscale_contract.server.environment import EngineName

_NOT_IN_TEMPLATE = {"replicas", "autoscaling"}
"""Fields of the spec that do not change the pod template."""


def operator_build(images: ServerImages) -> str:
    """A digest of what the operator itself puts into templates: its version, its images, and example templates."""
    examples = [
        build_deployment(_example(engine, device), images)["spec"] for engine in EngineName for device in Device
    ]
    text = json.dumps([__version__, images.transformers, images.simulated, examples], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def with_provenance(deployment: Manifest, chatmodel: ChatModel, build: str, *, is_update: bool) -> Manifest:
    """The Deployment with its annotations.

    is_update: whether the operator, and not a change of the spec, caused the rollout that begins or runs.
    """
    metadata = deployment["metadata"]
    recorded = {
        names.APPLIED_SPEC_ANNOTATION: _template_spec(chatmodel.spec),
        names.OPERATOR_BUILD_ANNOTATION: build,
        names.UPDATE_ANNOTATION: names.UPDATE_IN_PROGRESS if is_update else names.NO_UPDATE,
    }
    return {**deployment, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **recorded}}}


def is_current(deployment: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether the Deployment was built from the desired template."""
    return template_hash_of(dict(deployment)) == template_hash_of(dict(desired))


def has_spec_of(deployment: Mapping[str, Any], chatmodel: ChatModel) -> bool:
    """Whether the recorded spec is the ChatModel's, apart from fields that do not change the template.

    A field that the recording operator did not know has its default. True if no readable spec is recorded, so that an
    upgrade from an operator that recorded none is gradual too.
    """
    recorded = _annotation(deployment, names.APPLIED_SPEC_ANNOTATION)
    if recorded is None:
        return True
    try:
        spec = ChatModelSpec.model_validate_json(recorded)
    except ValidationError:
        return True
    return _template_spec(spec) == _template_spec(chatmodel.spec)


def is_from_build(deployment: Mapping[str, Any], build: str) -> bool:
    """Whether an operator with this `operator_build` applied the Deployment last."""
    return _annotation(deployment, names.OPERATOR_BUILD_ANNOTATION) == build


def is_updating(deployment: Mapping[str, Any]) -> bool:
    """Whether a rollout that the operator caused is recorded as not finished."""
    return _annotation(deployment, names.UPDATE_ANNOTATION) == names.UPDATE_IN_PROGRESS


def _template_spec(spec: ChatModelSpec) -> str:
    fields = spec.model_dump(mode="json", by_alias=True, exclude=_NOT_IN_TEMPLATE, exclude_none=True)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def _annotation(manifest: Mapping[str, Any], name: str) -> str | None:
    found: Mapping[str, str] = manifest["metadata"].get("annotations") or {}
    return found.get(name)


def _example(engine: EngineName, device: Device) -> ChatModel:
    return ChatModel.model_validate(
        {
            "metadata": {"name": "example", "namespace": "example"},
            "spec": {"model": {"uri": "hf://example/example"}, "device": device, "server": {"engine": engine}},
        }
    )
