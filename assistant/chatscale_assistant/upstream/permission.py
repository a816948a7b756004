"""Whether the chat model may phrase answers: `spec.model.writes` and the report of `chatscale evaluate`.

The kubelet replaces the report while the process runs, so the file is read again whenever it changes. The weights
behind the model's name can change too, so the model's API is asked for them again and again.
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

log = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 2.0
WEIGHTS_EVERY_S: Final = 30.0
"""Between two requests for the weights of a model, and the longest time that other weights may write."""
MAX_REPORT_BYTES: Final = 4 * 1024**2
_SHOWN: Final = 200
"""Characters of a location in a message."""
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the model may phrase answers now."""

    allowed: bool
    message: str = ""
    """Why not; empty if it may."""


def decide(writes: ModelWriting, model: str, report: Any, weights: str | None) -> Permission:
    """report: the parsed JSON; None if there is none.  weights: of the model now (`read_weights`)."""
    match writes:
        case ModelWriting.NEVER:
            return Permission(allowed=False, message="spec.model.writes is Never")
        case ModelWriting.ALWAYS:
            return Permission(allowed=True)
        case ModelWriting.WHEN_EVALUATED:
            return _evaluated(model, report, weights)
        case _:
            assert_never(writes)


def _evaluated(model: str, report: Any, weights: str | None) -> Permission:
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


def _other_weights(model: str, entry: dict[str, Any], weights: str | None) -> str:
    """Why the report is not about the weights that the model has now; empty if it is."""
    if weights is None:
        return f"the API of model {model} has not answered GET /models yet"
    evaluated = entry.get("weights", "")
    if evaluated == weights:
        return ""
    now = f"its API now states {_shown(weights)}" if weights else "its API states none"
    return f"the evaluation report is about the weights {_shown(evaluated)} of model {model}, and {now}"


def _shown(weights: object) -> str:
    text = str(weights)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def name_of(model: AssistantModel) -> str:
    """The model's name in a report."""
    return model.external.model if model.external is not None else model.chat_model or ""


@dataclass(slots=True)
class ModelPermission:
    """The permission now. `follow` keeps it current."""

    model: AssistantModel
    file: Path
    read_weights: Callable[[], Awaitable[str | None]]
    """Which weights the model has now; None if its API does not answer."""
    clock: Callable[[], float] = time.monotonic
    current: Permission = field(init=False)
    _stamp: _Stamp | None = None
    _report: Any = None
    _weights: str | None = None
    """As last stated: an API that does not answer cannot write either."""
    _weights_due_s: float = -math.inf

    def __post_init__(self) -> None:
        self.current = self._decide()
        self._read_report()
        self._update()

    async def refresh(self) -> None:
        """Read the report if the file is another one than before, and ask for the weights if that is due."""
        self._read_report()
        if self.model.writes is ModelWriting.WHEN_EVALUATED and self.clock() >= self._weights_due_s:
            found = await self.read_weights()
            self._weights_due_s = self.clock() + (WEIGHTS_EVERY_S if found is not None else CHECK_EVERY_S)
            self._weights = self._weights if found is None else found
        self._update()

    async def follow(self) -> None:
        """Refresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_EVERY_S)

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
    except (OSError, ValueError) as error:
        log.warning("evaluation report cannot be read", extra={"file": str(file), "error": type(error).__name__})
        return None
