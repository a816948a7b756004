"""One answer while it comes: the texts of its choices, and what the person sees before the first one. Pure."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, assert_never

from chatscale_cli.gateway.events import Event, Finished, Text, Waiting
from chatscale_cli.terminal_text import printable

QUIET_S: Final = 1.0
"""A wait that is shorter gets no message."""


@dataclass(slots=True)
class Answer:
    """What came until now. All texts are printable."""

    began_s: float
    """Monotonic."""
    parts: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By choice."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Why choices ended."""
    held: bool = False
    """The gateway sent a keep-alive: no replica has taken the request yet."""
    thinking: bool = False
    """The newest text was reasoning."""

    def take(self, event: Event) -> str:
        """Add one event. Returns the text that it added."""
        match event:
            case Waiting():
                self.held = not self.parts
            case Text(choice, text, reasoning):
                self.held, self.thinking = False, reasoning
                if not reasoning:
                    self.parts[choice].append(printable(text))
                    return self.parts[choice][-1]
            case Finished(choice, reason):
                self.reasons[choice] = reason
            case _:
                assert_never(event)
        return ""

    def text(self, choice: int = 0) -> str:
        """All of one choice."""
        return "".join(self.parts.get(choice, ()))

    def waiting_text(self, model: str, now_s: float) -> str:
        """The state before the first text; empty in the first second, and once there is text."""
        elapsed_s = now_s - self.began_s
        if elapsed_s < QUIET_S or (self.parts and not self.thinking):
            return ""
        if self.thinking:
            return f"{model} is thinking, {elapsed_s:.0f} s (Ctrl-C stops)"
        if self.held:
            return f"waiting for a replica of {model}: it wakes up, or all replicas are busy, {elapsed_s:.0f} s"
        return f"waiting for {model}, {elapsed_s:.0f} s"

    @property
    def remark(self) -> str:
        """A remark about the end; empty for a complete answer."""
        return "the answer reached its token limit" if "length" in self.reasons.values() else ""
