"""What the parsers of the call formats share: text is held back until its meaning is certain. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatscale_server.http.tool_calls.events import Content, Event, first_mark, spaced_partial_mark


@dataclass(slots=True)
class HeldTextParser:
    """A `Parser` that works in steps on the text that it holds."""

    _held: str = field(default="", init=False)
    _called: bool = field(default=False, init=False)
    """A call of the output is complete."""

    def push(self, text: str) -> list[Event]:
        """See Parser."""
        self._held += text
        events: list[Event] = []
        while self._advance(events):
            pass
        return events

    def end(self) -> list[Event]:
        """See Parser. White space after a call is not sent."""
        rest, self._held = self._held, ""
        if self._in_call:
            return []
        return [Content(rest)] if rest.strip() or (rest and not self._called) else []

    @property
    def _in_call(self) -> bool:
        """True from the mark of a call to its end."""
        raise NotImplementedError

    def _advance(self, events: list[Event]) -> bool:
        """One step. False if more text is needed."""
        raise NotImplementedError

    def _read_to_mark(self, marks: Sequence[str], events: list[Event]) -> str | None:
        """Send the text before the first mark, and remove the mark; None if there is none.

        White space before a mark is dropped. Text that may be the start of a mark stays held.
        """
        found = first_mark(self._held, marks)
        if found is None:
            cut = len(self._held) - spaced_partial_mark(self._held, marks)
            text, self._held = self._held[:cut], self._held[cut:]
        else:
            text, self._held = self._held[: found[0]].rstrip(), self._held[found[0] + len(found[1]) :]
        if text:
            events.append(Content(text))
        return None if found is None else found[1]
