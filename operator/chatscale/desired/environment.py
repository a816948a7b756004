"""The environment of the server container: every setting of the spec under the name the server reads it by."""

from chatscale.api.v1alpha1 import ChatModel, Device, EnvFromSource
from chatscale.desired.manifest import Manifest
from chatscale_contract.server.environment import EngineName, Env

WRITABLE_PATH = "/tmp"  # noqa: S108 - an emptyDir of this pod alone
"""The one writable folder of the container; caches of libraries follow `HOME` there."""


def server_env(chatmodel: ChatModel) -> list[Manifest]:
    """Our variables, then the user's: the order is stable, so equal specs give equal manifests.

    A name stands once, as server-side apply demands: the user's HOME or HF_TOKEN replaces ours.
    """
    settings = [{"name": name.value, "value": _verbatim(value)} for name, value in _settings(chatmodel).items()]
    ours = [*settings, *_limits(), *_hub_token(chatmodel), {"name": "HOME", "value": WRITABLE_PATH}]
    user = {entry.name: entry.value for entry in chatmodel.spec.server.env}
    kept = [entry for entry in ours if entry["name"] not in user]
    return [*kept, *({"name": name, "value": value} for name, value in user.items())]


def env_from(sources: list[EnvFromSource]) -> list[Manifest]:
    """ConfigMaps and Secrets, as a container's `envFrom` has them."""
    return [source.model_dump(by_alias=True, exclude_none=True) for source in sources]


def _settings(chatmodel: ChatModel) -> dict[Env, str]:
    spec, server = chatmodel.spec, chatmodel.spec.server
    optional = {
        Env.MODEL_REVISION: spec.model.revision,
        Env.CHAT_TEMPLATE: spec.model.chat_template,
        Env.MAX_MODEL_LEN: server.max_model_len,
    }
    settings = {
        Env.MODEL_URI: spec.model.uri,
        Env.SERVED_NAME: chatmodel.served_name,
        Env.CHATMODEL_NAME: chatmodel.metadata.name,
        Env.ENGINE: server.engine.value,
        Env.DEVICE: "cpu" if spec.device is Device.CPU else "cuda",
        Env.DTYPE: server.dtype.value,
        Env.MAX_CONCURRENCY: str(server.max_concurrency),
        Env.MAX_QUEUE: str(server.max_queue),
        Env.QUEUE_TIMEOUT_SECONDS: str(server.queue_timeout_seconds),
        Env.SLO_TTFT_MILLISECONDS: str(spec.autoscaling.slo.ttft_milliseconds),
        Env.SLO_TPOT_MILLISECONDS: str(spec.autoscaling.slo.tpot_milliseconds),
        Env.DRAIN_DELAY_SECONDS: str(spec.drain.pre_stop_delay_seconds),
        Env.DRAIN_TIMEOUT_SECONDS: str(spec.drain.timeout_seconds),
        **{name: str(value) for name, value in optional.items() if value is not None},
    }
    if server.engine is EngineName.SIMULATED:
        settings[Env.SIMULATED_PROFILE] = server.simulated.profile.value
        settings[Env.SIMULATED_STARTUP_SECONDS] = str(server.simulated.startup_seconds)
    return settings


def _limits() -> list[Manifest]:
    """The container's own limits; where it has none, what the node can allot."""
    return [
        {"name": Env.CPU_LIMIT.value, "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}},
        {
            "name": Env.MEMORY_LIMIT_BYTES.value,
            "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1"}},
        },
    ]


def _hub_token(chatmodel: ChatModel) -> list[Manifest]:
    ref = chatmodel.spec.model.token_secret_ref
    if ref is None:
        return []
    return [{"name": Env.HF_TOKEN.value, "valueFrom": {"secretKeyRef": {"name": ref.name, "key": ref.key}}}]


def _verbatim(value: str) -> str:
    """Keep the kubelet from expanding `$(NAME)` in values such as a chat template."""
    return value.replace("$(", "$$(")
