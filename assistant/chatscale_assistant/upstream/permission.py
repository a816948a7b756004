"""Whether the chat model may phrase answers: `spec.model.writes` and the report of `chatscale evaluate`.

The kubelet replaces the report while the process runs, so the file is read again whenever it changes. The weights
behind the model's name can change too, so the model's API is asked for their location again and again.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, assert_never

from chatscale.api.v1alpha1.shopassistant import AssistantModel, ModelWriting
from chatscale_assistant import metrics
from chatscale_assistant.upstream.weights import NotKnown

log = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 2.0
WEIGHTS_EVERY_S: Final = 30.0
"""Between two requests for the location of the weights. After a change of it, the model writes for about as long."""
WEIGHTS_KEPT_S: Final = 300.0
"""How long a model may still write after its API last stated the location of its weights, or that it has none."""
MAX_REPORT_BYTES: Final = 4 * 1024**2
_SHOWN: Final = 200
"""Characters of a location in a message."""
_NOT_ASKED: Final = NotKnown("not asked yet")
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the model may phrase answers now."""

    allowed: bool
    message: str = ""
    """Why not; empty if it may."""


def decide(writes: ModelWriting, model: str, report: Any, weights: str | NotKnown) -> Permission:
    """report: the parsed JSON; None if there is none.  weights: their location now (`read_weights`)."""
    match writes:
        case ModelWriting.NEVER:
            return Permission(allowed=False, message="spec.model.writes is Never")
        case ModelWriting.ALWAYS:
            return Permission(allowed=True)
        case ModelWriting.WHEN_EVALUATED:
            return _evaluated(model, report, weights)
        case _:
            assert_never(writes)


def _evaluated(model: str, report: Any, weights: str | NotKnown) -> Permission:
    message = _not_passed(model, report) or _other_weights(model, report["models"][model], weights)
    return Permission(allowed=not message, message=message)


def _not_passed(model: str, report: Any) -> str:
    """Why the report does not let a model of this name write; empty if it does."""
    if report is None:
        return "there is no evaluation report for spec.model.evaluation"
    models = report.get("models") if isinstance(report, dict) else None
    if not isinstance(models, dict):
        return "the evaluation report has no `models`"
    entry = models.get(model)
    if not isinstance(entry, dict):
        return f"the evaluation report has no model {model}"
    return "" if entry.get("passed") is True else f"model {model} did not pass the evaluation"


def _other_weights(model: str, entry: dict[str, Any], weights: str | NotKnown) -> str:
    """Why the report is not about the weights that the model has now; empty if it is."""
    if isinstance(weights, NotKnown):
        return f"the location of the weights of model {model} is not known: GET /models: {weights.reason}"
    evaluated = entry.get("weights", "")
    if not isinstance(evaluated, str):
        return f"the evaluation report has a wrong location of the weights of model {model}"
    if evaluated == weights:
        return ""
    of_report = f"states the location {_shown(evaluated)}" if evaluated else "states no location"
    now = f"states {_shown(weights)}" if weights else "states none"
    return f"the evaluation report {of_report} of the weights of model {model}, and its API now {now}"


def _shown(location: str) -> str:
    return repr(location if len(location) <= _SHOWN else f"{location[:_SHOWN]}…")


def name_of(model: AssistantModel) -> str:
    """The model's name in a report."""
    return model.external.model if model.external is not None else model.chat_model or ""


@dataclass(slots=True)
class ModelPermission:
    """The permission now. `follow` keeps it current."""

    model: AssistantModel
    file: Path
    read_weights: Callable[[], Awaitable[str | NotKnown]]
    """Asks for the location of the model's weights."""
    clock: Callable[[], float] = time.monotonic
    current: Permission = field(init=False)
    _stamp: _Stamp | None = None
    _report: Any = None
    _weights: str | NotKnown = _NOT_ASKED
    """Their location, as last stated, for at most `WEIGHTS_KEPT_S`."""
    _unknown: NotKnown | None = _NOT_ASKED
    """Why the last request did not find it; None if it did."""
    _stated_s: float = -math.inf
    _due_s: float = -math.inf

    def __post_init__(self) -> None:
        self.current = self._decide()
        self._read_report()
        self._update()

    async def refresh(self) -> None:
        """Read the report if the file is another one than before, and ask for the location of the weights if due."""
        self._read_report()
        if self.model.writes is ModelWriting.WHEN_EVALUATED:
            if self.clock() >= self._due_s:
                self._take(await self.read_weights())
            if self._unknown is not None and self.clock() - self._stated_s >= WEIGHTS_KEPT_S:
                self._weights = self._unknown
        self._update()

    async def follow(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_EVERY_S)

    def _take(self, found: str | NotKnown) -> None:
        now, before = self.clock(), self._unknown
        if isinstance(found, NotKnown):
            self._unknown = found
            starting = not found.refused and self._stated_s == -math.inf
            self._due_s = now + (CHECK_EVERY_S if starting else WEIGHTS_EVERY_S)
        else:
            self._weights, self._unknown, self._stated_s, self._due_s = found, None, now, now + WEIGHTS_EVERY_S
        if self._unknown != before:
            fields = {"model": name_of(self.model), "not_known": self._unknown.reason if self._unknown else ""}
            log.info("request for the location of the weights", extra=fields)

    def _read_report(self) -> None:
        stamp = _stamp(self.file)
        if stamp is None or stamp != self._stamp:
            self._stamp, self._report = stamp, _read(self.file) if stamp else None

    def _update(self) -> None:
        found = self._decide()
        if found != self.current:
            log.info("model permission changed", extra={"allowed": found.allowed, "reason": found.message})
        self.current = found
        metrics.MODEL_WRITES.set(int(found.allowed))

    def _decide(self) -> Permission:
        return decide(self.model.writes, name_of(self.model), self._report, self._weights)


def _stamp(file: Path) -> _Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(file: Path) -> Any:
    """The report; None if it cannot be read, so that a broken report allows nothing."""
    try:
        if file.stat().st_size > MAX_REPORT_BYTES:
            return None
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        log.warning("evaluation report cannot be read", extra={"file": str(file), "error": type(error).__name__})
        return None
