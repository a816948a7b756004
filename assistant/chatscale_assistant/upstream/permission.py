"""Whether the chat model may phrase answers: `spec.model.writes` and the report of `chatscale evaluate`.

The kubelet replaces the report while the process runs, so the file is read again whenever it changes.
"""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, assert_never

from chatscale.api.v1alpha1.shopassistant import AssistantModel, ModelWriting
from chatscale_assistant import metrics

log = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 2.0
MAX_REPORT_BYTES: Final = 4 * 1024**2
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the model may phrase answers now."""

    allowed: bool
    message: str = ""
    """Why not; empty if it may."""


def decide(writes: ModelWriting, model: str, report: Any) -> Permission:
    """report: the parsed JSON; None if there is none."""
    match writes:
        case ModelWriting.NEVER:
            return Permission(allowed=False, message="spec.model.writes is Never")
        case ModelWriting.ALWAYS:
            return Permission(allowed=True)
        case ModelWriting.WHEN_EVALUATED:
            return _evaluated(model, report)
        case _:
            assert_never(writes)


def _evaluated(model: str, report: Any) -> Permission:
    if report is None:
        return Permission(allowed=False, message="there is no evaluation report for spec.model.evaluation")
    models = report.get("models") if isinstance(report, dict) else None
    if not isinstance(models, dict):
        return Permission(allowed=False, message="the evaluation report has no `models`")
    entry = models.get(model)
    if not isinstance(entry, dict):
        return Permission(allowed=False, message=f"the evaluation report has no model {model}")
    if entry.get("passed") is not True:
        return Permission(allowed=False, message=f"model {model} did not pass the evaluation")
    return Permission(allowed=True)


def name_of(model: AssistantModel) -> str:
    """The model's name in a report."""
    return model.external.model if model.external is not None else model.chat_model or ""


@dataclass(slots=True)
class ModelPermission:
    """The permission now. `follow` keeps it current."""

    model: AssistantModel
    file: Path
    current: Permission = field(init=False)
    _stamp: _Stamp | None = None

    def __post_init__(self) -> None:
        self.current = self._decide(None)
        self.refresh()

    def refresh(self) -> None:
        """Read the report if the file is another one than before."""
        stamp = _stamp(self.file)
        if stamp is not None and stamp == self._stamp:
            return
        self._stamp = stamp
        found = self._decide(_read(self.file) if stamp else None)
        if found != self.current:
            log.info("model permission changed", extra={"allowed": found.allowed, "reason": found.message})
        self.current = found
        metrics.MODEL_WRITES.set(int(found.allowed))

    async def follow(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            self.refresh()

    def _decide(self, report: Any) -> Permission:
        return decide(self.model.writes, name_of(self.model), report)


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
