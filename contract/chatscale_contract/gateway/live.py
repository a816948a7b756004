"""The live state of all models, as GET `LIVE_DATA_PATH` and each event of `LIVE_STREAM_PATH` report it.

The live page and `chatscale status` show the same numbers. All gateways together: each gateway adds the reports of the
others to its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

LIVE_DATA_PATH: Final = "/live/data"
"""GET: one `LiveSnapshot` as JSON. Needs a key with `live: true`."""
LIVE_STREAM_PATH: Final = "/live/stream"
"""GET: a stream of server-sent events, one `LiveSnapshot` each second. Needs a key with `live: true`."""
LIVE_NOT_ALLOWED: Final = "live_not_allowed"
"""Error code of the 403 for a key without `live: true`."""
_LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class LiveReplicas:
    """Replicas of one model. Pods that have ended are in no number."""

    wanted: int = 0
    """`spec.replicas`: the last scaling decision."""
    starting: int = 0
    """Pods that are not Ready."""
    ready: int = 0
    """Pods that accept requests."""
    draining: int = 0
    """Pods that finish their requests and get no new one."""


@dataclass(frozen=True, slots=True)
class LiveTtft:
    """Time to first token of streamed answers, from arrival at a gateway, the hold included."""

    p50_s: float | None = None
    """None: no streamed answer began in the window."""
    p95_s: float | None = None
    slo_s: float = 0.0
    """`spec.autoscaling.slo.ttftMilliseconds`."""
    samples: int = 0
    """Answers in the window."""
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LiveCost:
    """Cost of the pods that exist."""

    currency: str
    """ISO 4217."""
    per_hour: Decimal
    """`spec.price.gpuHour` x GPUs of a replica x pods that exist; on CPU, `gpuHour` x pods."""


@dataclass(frozen=True, slots=True)
class LiveDecision:
    """One change of the replica count."""

    time: datetime
    from_replicas: int
    to_replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One announced event that has not ended."""

    name: str
    start: datetime
    end: datetime
    min_replicas: int
    active: bool = False
    """It sets the minimum of the replica count now."""


@dataclass(frozen=True, slots=True)
class LiveWarning:
    """One condition of the ChatModel that is not as it should be."""

    type: str
    """Type of the condition, such as `ScalingActive`."""
    reason: str
    message: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One ChatModel."""

    namespace: str
    name: str
    phase: str = ""
    """`status.phase`: the reason of the Ready condition."""
    mode: str = ""
    """Operator, HPA or Fixed."""
    replicas: LiveReplicas = field(default_factory=LiveReplicas)
    held: int = 0
    """Requests that wait in gateways for a replica."""
    queued: int = 0
    """Requests that wait in replicas for a slot."""
    in_flight: int = 0
    """Requests that gateways have sent to replicas and that have not ended; `queued` is a part of them."""
    prompt_tokens_per_s: float = 0.0
    """Mean over the last `LiveSnapshot.rate_window_s`. The tokens of an answer are counted when it ends."""
    generated_tokens_per_s: float = 0.0
    ttft: LiveTtft = field(default_factory=LiveTtft)
    cost: LiveCost | None = None
    """None: the ChatModel has no `spec.price.gpuHour`."""
    decisions: tuple[LiveDecision, ...] = ()
    """The last changes of the replica count, newest first."""
    events: tuple[LiveEvent, ...] = ()
    """In the order of their start."""
    warnings: tuple[LiveWarning, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """The models that the key opens, at one time."""

    time: datetime
    gateway: str
    """Name of the gateway's pod that made the snapshot."""
    gateways: int
    """Gateways whose reports are in it."""
    rate_window_s: float
    models: tuple[LiveModel, ...] = ()
    """Sorted by namespace and name."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object of a response. Times are RFC 3339, amounts of money decimal numbers as text."""
        return {**head_to_json(self), "models": [model_to_json(model) for model in self.models]}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Validate a response. Unknown fields are ignored and missing ones get their defaults: versions may differ.

        Raises ValueError with the field and the found value.
        """
        found = _Fields(value, "snapshot")
        return cls(
            time=found.time("time"),
            gateway=found.text("gateway"),
            gateways=found.count("gateways"),
            rate_window_s=found.number("rate_window_s"),
            models=tuple(_model(each) for each in found.objects("models")),
        )


def head_to_json(snapshot: LiveSnapshot) -> dict[str, Any]:
    """Everything but the models."""
    return {
        "time": snapshot.time.isoformat(timespec="milliseconds"),
        "gateway": snapshot.gateway,
        "gateways": snapshot.gateways,
        "rate_window_s": snapshot.rate_window_s,
    }


def model_to_json(model: LiveModel) -> dict[str, Any]:
    """The JSON object of one model."""
    return {name: _plain(value) for name, value in asdict(model).items()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


class _Fields:
    """Reads the fields of one JSON object. Raises ValueError for values of a wrong type."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{name} must be an object, found {type(value).__name__}")  # noqa: TRY004 - one class
        self._found: Mapping[str, Any] = value
        self._name = name

    def __contains__(self, key: str) -> bool:
        """Whether it has a value other than null."""
        return self._found.get(key) is not None

    def text(self, key: str) -> str:
        """Empty if it is missing."""
        value = self._found.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def number(self, key: str) -> float:
        """From 0; 0 if it is missing."""
        value = self._found.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
            raise self._wrong(key, "a number from 0", value)
        return value

    def count(self, key: str) -> int:
        """From 0; 0 if it is missing."""
        return int(self.number(key))

    def number_or_none(self, key: str) -> float | None:
        return self.number(key) if key in self else None

    def flag(self, key: str) -> bool:
        return self._found.get(key) is True

    def amount(self, key: str) -> Decimal:
        try:
            return Decimal(self.text(key))
        except InvalidOperation as error:
            raise self._wrong(key, "a decimal number as text", self._found.get(key)) from error

    def time(self, key: str) -> datetime:
        try:
            return datetime.fromisoformat(self.text(key))
        except ValueError as error:
            raise self._wrong(key, "an RFC 3339 time", self._found.get(key)) from error

    def part(self, key: str) -> "_Fields":
        """An object; empty if it is missing."""
        return _Fields(self._found.get(key) or {}, f"{self._name}.{key}")

    def objects(self, key: str) -> list["_Fields"]:
        value = self._found.get(key) or []
        if not isinstance(value, list):
            raise self._wrong(key, "a list", value)
        return [_Fields(each, f"{self._name}.{key}[{index}]") for index, each in enumerate(value)]

    def _wrong(self, key: str, expected: str, value: object) -> ValueError:
        return ValueError(f"{self._name}.{key} must be {expected}, found {value!r}")


def _model(found: _Fields) -> LiveModel:
    replicas, ttft, cost = found.part("replicas"), found.part("ttft"), found.part("cost")
    return LiveModel(
        namespace=found.text("namespace"),
        name=found.text("name"),
        phase=found.text("phase"),
        mode=found.text("mode"),
        replicas=LiveReplicas(
            replicas.count("wanted"), replicas.count("starting"), replicas.count("ready"), replicas.count("draining")
        ),
        held=found.count("held"),
        queued=found.count("queued"),
        in_flight=found.count("in_flight"),
        prompt_tokens_per_s=found.number("prompt_tokens_per_s"),
        generated_tokens_per_s=found.number("generated_tokens_per_s"),
        ttft=LiveTtft(
            ttft.number_or_none("p50_s"), ttft.number_or_none("p95_s"), ttft.number("slo_s"), ttft.count("samples"),
            ttft.number("window_s"),
        ),
        cost=LiveCost(cost.text("currency"), cost.amount("per_hour")) if "cost" in found else None,
        decisions=tuple(_decision(each) for each in found.objects("decisions")),
        events=tuple(_event(each) for each in found.objects("events")),
        warnings=tuple(_warning(each) for each in found.objects("warnings")),
    )  # fmt: skip


def _decision(found: _Fields) -> LiveDecision:
    return LiveDecision(
        found.time("time"), found.count("from_replicas"), found.count("to_replicas"), found.text("reason")
    )


def _event(found: _Fields) -> LiveEvent:
    return LiveEvent(
        name=found.text("name"),
        start=found.time("start"),
        end=found.time("end"),
        min_replicas=found.count("min_replicas"),
        active=found.flag("active"),
    )


def _warning(found: _Fields) -> LiveWarning:
    since = found.time("since") if "since" in found else None
    return LiveWarning(found.text("type"), found.text("reason"), found.text("message"), since)
