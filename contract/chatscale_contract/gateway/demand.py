"""What one gateway reports to the operator and to its peers: the demand for each ChatModel, as its clients see it.

Counters start at zero with the gateway process. The operator adds up all gateways.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from chatscale_contract.gateway.latencies import LAST_BUCKET

_LARGEST: Final = 1e15
"""A larger value is a bug or an attack."""
_MAPPINGS: Final = frozenset({"in_flight_by_pod", "recent_ttft"})
"""Fields of `ModelDemand` that are no numbers."""


@dataclass(frozen=True, slots=True)
class ModelDemand:
    """One ChatModel in one gateway."""

    held: int = 0
    """Gauge: requests that wait in this gateway for a replica."""
    held_prompt_tokens: int = 0
    """Gauge: estimated prompt tokens of the held requests."""
    in_flight: int = 0
    """Gauge: requests sent to a replica and not ended."""
    oldest_held_s: float = 0.0
    """Gauge: age of the oldest held request, seconds."""
    arrived: int = 0
    """Counter: requests that arrived, each once: sent, held, or refused in the sense of `refused`."""
    sent: int = 0
    """Counter: requests that a replica began."""
    finished: int = 0
    """Counter: requests that ended with a replica's complete answer or error."""
    refused: int = 0
    """Counter: those of `arrived` that were refused because a bound of the hold was full or its deadline passed.
    Requests whose key has `wake: false` are not included."""
    abandoned: int = 0
    """Counter: requests whose client left before the end."""
    prompt_tokens: int = 0
    """Counter: prompt tokens from the `usage` of replicas, cached ones included."""
    cached_tokens: int = 0
    """Counter: prompt tokens that replicas found in their prefix cache."""
    generated_tokens: int = 0
    """Counter: tokens that replicas generated."""
    passed_tokens: int = 0
    """As `generated_tokens`, but those of a stream are counted while they pass, and those of a client that left stay.
    When a stream ends, the count of the replica replaces the estimate, so this can fall a little. For the live page."""
    slo_misses: int = 0
    """Counter: requests that missed the SLO, counted from arrival in the gateway, each once. Refusals are not included.
    Misses of `wake_misses` are not included."""
    wake_misses: int = 0
    """Counter: requests that missed the SLO because they waited for a model with no ready replica."""
    no_wake_held: int = 0
    """Gauge: those of `held` whose key has `wake: false`. They must not keep the model awake."""
    no_wake_in_flight: int = 0
    """Gauge: those of `in_flight` whose key has `wake: false`."""
    no_wake_arrived: int = 0
    """Counter: those of `arrived` whose key has `wake: false`."""
    no_wake_placed: int = 0
    """Counter: attempts of requests whose key has `wake: false`, each counted when it gets a place on a replica."""
    in_flight_by_pod: Mapping[str, int] = field(default_factory=dict)
    """Gauge: in-flight requests by pod UID. A pod without any is left out."""
    recent_ttft: Mapping[int, int] = field(default_factory=dict)
    """Gauge: streamed answers that began in the last `latencies.WINDOW_S`, by the bucket of their time to first token.
    For the live page; the operator does not need it."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One API key in one gateway, for the other gateways. Only keys that have limits are reported.

    `spent` plus `reserved` is what the gateway has taken from the key's buckets. A gateway drops a key that has been
    idle for a while, and counts from zero when the key comes back.
    """

    concurrency: int = 0
    """Gauge: requests that have been admitted and not ended."""
    requests: int = 0
    """Counter: requests."""
    spent_input: int = 0
    """Counter: prompt tokens of requests that have ended."""
    spent_output: int = 0
    """Counter: generated tokens of requests that have ended."""
    reserved_input: int = 0
    """Gauge: prompt tokens reserved for requests that have not ended."""
    reserved_output: int = 0
    """Gauge: generated tokens reserved for requests that have not ended."""
    missing_requests: float = 0.0
    """Gauge: how far the bucket of requests is from full, as this gateway sees it, other gateways included."""
    missing_input: float = 0.0
    """Gauge: how far the bucket of input tokens is from full."""
    missing_output: float = 0.0
    """Gauge: how far the bucket of output tokens is from full."""


@dataclass(frozen=True, slots=True)
class GatewayDemand:
    """The report of one gateway."""

    gateway: str
    """Name of the gateway's pod."""
    instance: str
    """Changes with each start of the process: counters restart at zero."""
    wake_seq: int
    """Grows each time the gateway begins to hold or to refuse requests for a model without a replica."""
    draining: bool
    """The gateway has received SIGTERM."""
    models: Mapping[str, ModelDemand]
    """By `namespace/name`. A model without any request since the start may be missing."""
    keys: Mapping[str, KeyUse] = field(default_factory=dict)
    """By `namespace/name` of the key's Secret. For the other gateways; the operator does not need it."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the response to GET `DEMAND_PATH`. Counters of keys that are 0 are left out."""
        return {
            "gateway": self.gateway,
            "instance": self.instance,
            "wake_seq": self.wake_seq,
            "draining": self.draining,
            "models": {name: asdict(demand) for name, demand in self.models.items()},
            # There may be thousands, each second, and asdict needs five times as long.
            "keys": {name: _key_json(use) for name, use in self.keys.items()},
        }

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Validate a response. Unknown fields are ignored, missing counters are 0: versions may differ.

        A key that is not valid is left out.

        Raises ValueError with the field and the found value.
        """
        report = _mapping(value, "demand")
        models = _mapping(report.get("models"), "models")
        keys = _mapping(report.get("keys", {}), "keys")
        return cls(
            gateway=_text(report.get("gateway"), "gateway"),
            instance=_text(report.get("instance"), "instance"),
            wake_seq=int(_number(report.get("wake_seq"), "wake_seq")),
            draining=report.get("draining") is True,
            models={key: _model_demand(key, found) for key, found in models.items()},
            keys={key: use for key, found in keys.items() if (use := _key_use(found)) is not None},
        )


def _model_demand(key: str, value: object) -> ModelDemand:
    found = _mapping(value, f"models.{key}")
    numbers: dict[str, Any] = {}
    for each in fields(ModelDemand):
        if each.name in _MAPPINGS or each.name not in found:
            continue
        number = _number(found[each.name], f"models.{key}.{each.name}")
        numbers[each.name] = number if each.name == "oldest_held_s" else int(number)
    by_pod = _mapping(found.get("in_flight_by_pod", {}), f"models.{key}.in_flight_by_pod")
    in_flight = {uid: int(_number(count, f"models.{key}.in_flight_by_pod.{uid}")) for uid, count in by_pod.items()}
    return ModelDemand(**numbers, in_flight_by_pod=in_flight, recent_ttft=_recent_ttft(found.get("recent_ttft")))


def _recent_ttft(value: object) -> Mapping[int, int]:
    """Empty if it is not valid: the live page must not make the demand for all models unreadable."""
    try:
        counts = {int(bucket): int(_number(count, bucket)) for bucket, count in _mapping(value or {}, "ttft").items()}
    except ValueError:
        return {}
    return counts if all(0 <= bucket <= LAST_BUCKET for bucket in counts) else {}


def _key_use(value: object) -> KeyUse | None:
    """None if it is not valid: the limits of one key must not make the demand for all models unreadable."""
    try:
        found = _mapping(value, "key")
        numbers = {name: _number(number, name) for name, number in found.items() if name in _KEY_FIELDS}
    except ValueError:
        return None
    counts: dict[str, Any] = {
        name: number if name.startswith("missing_") else int(number) for name, number in numbers.items()
    }
    return KeyUse(**counts)


_KEY_FIELDS: Final = tuple(each.name for each in fields(KeyUse))


def _key_json(use: KeyUse) -> dict[str, float]:
    return {name: value for name in _KEY_FIELDS if (value := getattr(use, name))}


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, found {type(value).__name__}")  # noqa: TRY004 - one class
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty string, found {value!r}")
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{name} must be a number from 0, found {value!r}")
    return value
