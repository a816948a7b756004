"""Our inference server (`inference_server/`): configured through environment variables, drains on SIGTERM by itself.

Both engines, Transformers and Simulated, run the same program. They differ in the image and in a few settings.
"""

from typing import Final

from chatscale.api.v1alpha1 import ChatModel, Device
from chatscale.desired.environment import hub_token, literal, resource_limit
from chatscale.desired.manifest import Manifest
from chatscale.desired.probes import STARTUP_TIMEOUT_S, http_probe
from chatscale.desired.runtimes.runtime import ExternalMetrics, Runtime
from chatscale_contract.server import endpoints
from chatscale_contract.server.environment import EngineName, Env
from chatscale_contract.server.metrics import CHATMODEL_LABEL, Metric

WRITABLE_PATH: Final = "/tmp"  # noqa: S108 - an emptyDir of this pod alone
"""The caches of libraries follow `HOME` to this folder."""
EXIT_MARGIN_S: Final = 10
"""Between the end of the drain and SIGKILL: time to close connections and exit."""
STARTUP_PERIOD_S: Final = 2


def _container(chatmodel: ChatModel) -> Manifest:
    return {
        "env": [
            *(literal(name.value, value) for name, value in _settings(chatmodel).items()),
            resource_limit(Env.CPU_LIMIT.value, "limits.cpu"),
            resource_limit(Env.MEMORY_LIMIT_BYTES.value, "limits.memory"),
            *hub_token(chatmodel, Env.HF_TOKEN.value),
            literal("HOME", WRITABLE_PATH),
        ],
        "ports": [{"name": endpoints.HTTP_PORT_NAME, "containerPort": endpoints.HTTP_PORT, "protocol": "TCP"}],
        "startupProbe": http_probe(
            endpoints.READYZ_PATH, period_s=STARTUP_PERIOD_S, failures=STARTUP_TIMEOUT_S // STARTUP_PERIOD_S
        ),
        "readinessProbe": http_probe(endpoints.READYZ_PATH, period_s=5, failures=3),
        "livenessProbe": http_probe(endpoints.LIVEZ_PATH, period_s=10, failures=6),
    }


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
        # Another order would change the pod template of models that exist, and restart their pods.
        **({Env.MAX_CONCURRENCY: str(server.max_concurrency)} if server.max_concurrency is not None else {}),
        Env.MAX_QUEUE: str(server.max_queue),
        Env.QUEUE_TIMEOUT_SECONDS: str(server.queue_timeout_seconds),
        Env.DRAIN_DELAY_SECONDS: str(spec.drain.pre_stop_delay_seconds),
        Env.DRAIN_TIMEOUT_SECONDS: str(spec.drain.timeout_seconds),
        **{name: str(value) for name, value in optional.items() if value is not None},
    }
    if server.engine is EngineName.SIMULATED:
        settings[Env.SIMULATED_PROFILE] = server.simulated.profile.value
        settings[Env.SIMULATED_STARTUP_SECONDS] = str(server.simulated.startup_seconds)
    return settings


def _grace_period_s(chatmodel: ChatModel) -> int:
    """The server delays and drains by itself after SIGTERM: the pod needs no preStop hook."""
    drain = chatmodel.spec.drain
    return drain.timeout_seconds + drain.pre_stop_delay_seconds + EXIT_MARGIN_S


CHATSCALE_SERVER: Final = Runtime(
    container=_container,
    grace_period_s=_grace_period_s,
    scratch={WRITABLE_PATH: {}},
    objectives_path=endpoints.SLO_MOUNT_PATH,
    external_metrics=ExternalMetrics(
        queue_depth=Metric.QUEUE_DEPTH.value,
        requests_running=Metric.REQUESTS_RUNNING.value,
        kv_cache_usage_ratio=Metric.KV_CACHE_USAGE_RATIO.value,
        chatmodel_label=CHATMODEL_LABEL,
    ),
)
