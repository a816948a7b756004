"""From generated text to the parts of a message: reasoning, content, calls. Pure.

The reasoning before the answer is separated first: it may contain anything. Then the calls, whose arguments may contain
anything too. Reasoning within the remaining content is separated last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat
from chatscale_server.http.reasoning import MARKS, ReasoningParser
from chatscale_server.http.tool_calls.events import CallArguments, CallStart, Content, Event, Parser
from chatscale_server.http.tool_calls.formats import build_call_parser


@dataclass(slots=True)
class MessageParser:
    """See `Parser`. Each part may be missing. one_call: text and calls after the first call are dropped."""

    first: ReasoningParser | None = None
    calls: Parser | None = None
    last: ReasoningParser | None = None
    one_call: bool = False
    _called: bool = field(default=False)
    _closed: bool = field(default=False)

    def push(self, text: str) -> list[Event]:
        """See Parser."""
        return self._parse(self.first.push(text) if self.first else [Content(text)])

    def end(self) -> list[Event]:
        """See Parser."""
        events = self._parse(self.first.end() if self.first else [])
        events += self._filter(self.calls.end() if self.calls else [])
        return events + (self.last.end() if self.last else [])

    def _parse(self, events: list[Event]) -> list[Event]:
        found: list[Event] = []
        for event in events:
            if isinstance(event, Content) and self.calls:
                found += self.calls.push(event.text)
            else:
                found.append(event)
        return self._filter(found)

    def _filter(self, events: list[Event]) -> list[Event]:
        found: list[Event] = []
        for event in events:
            if self._closed or (self.one_call and self._called and not isinstance(event, CallArguments)):
                self._closed = True
                continue
            if isinstance(event, Content) and self.last:
                found += self.last.push(event.text)
                continue
            if isinstance(event, CallStart):
                found += self.last.end() if self.last else []
                self._called = True
            found.append(event)
        return found


def build_message_parser(
    tools: ToolFormat, reasoning: ReasoningFormat, functions: Mapping[str, Mapping[str, Any]], *, inside: bool,
    one_call: bool,
) -> MessageParser | None:  # fmt: skip
    """The parser of one output; None if all of it is content.

    functions: see `build_call_parser`.  inside: the output begins within the reasoning.
    """
    if reasoning is ReasoningFormat.HARMONY:
        tools = ToolFormat.HARMONY
    calls = build_call_parser(tools, functions)
    marks = MARKS.get(reasoning)
    if calls is None and marks is None:
        return None
    first = ReasoningParser(*marks, inside=inside) if marks else None
    last = ReasoningParser(*marks, anywhere=True) if marks else None
    return MessageParser(first, calls, last, one_call)
