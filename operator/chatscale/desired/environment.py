"""Entries of a container's `env`, and how a user's entries join those of the operator."""

from collections.abc import Sequence

from chatscale.api.v1alpha1 import ChatModel, EnvFromSource, EnvVar
from chatscale.desired.manifest import Manifest


def literal(name: str, value: str) -> Manifest:
    """A variable with this value, unchanged: the kubelet must not expand `$(NAME)` in, say, a chat template."""
    return {"name": name, "value": value.replace("$(", "$$(")}


def resource_limit(name: str, resource: str) -> Manifest:
    """A limit of the container in whole units, or what the node can allocate if the container has no limit."""
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": "1"}}}


def hub_token(chatmodel: ChatModel, name: str) -> list[Manifest]:
    """The variable that holds the model hub's token; empty if the spec names no Secret."""
    ref = chatmodel.spec.model.token_secret_ref
    if ref is None:
        return []
    return [{"name": name, "valueFrom": {"secretKeyRef": {"name": ref.name, "key": ref.key}}}]


def with_user_env(ours: Sequence[Manifest], user: Sequence[EnvVar]) -> list[Manifest]:
    """Our variables, then the user's, in a stable order: equal specs give equal manifests.

    Server-side apply refuses a name that occurs twice, so a user's variable replaces ours of the same name.
    """
    values = {entry.name: entry.value for entry in user}
    kept = [entry for entry in ours if entry["name"] not in values]
    return [*kept, *({"name": name, "value": value} for name, value in values.items())]


def env_from(sources: Sequence[EnvFromSource]) -> list[Manifest]:
    """ConfigMaps and Secrets in the form of a container's `envFrom`."""
    return [source.model_dump(by_alias=True, exclude_none=True) for source in sources]
