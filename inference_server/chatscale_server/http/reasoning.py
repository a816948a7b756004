"""Separates a model's reasoning from its answer. Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from chatscale_contract.server.environment import ReasoningFormat
from chatscale_server.http.tool_calls.events import Content, Event, Reasoning, first_mark, partial_mark

MARKS: Final = {ReasoningFormat.THINK: ("<think>", "</think>"), ReasoningFormat.MISTRAL: ("[THINK]", "[/THINK]")}
"""Opening and closing mark."""


def opens_reasoning(kind: ReasoningFormat, prompt_end: str) -> bool:
    """True if the output begins within the reasoning. prompt_end: the last text of the prompt."""
    return kind in MARKS and prompt_end.rstrip().endswith(MARKS[kind][0])


class _Stage(Enum):
    START = auto()
    """Reasoning may begin here."""
    REASONING = auto()
    AFTER = auto()
    """White space between the reasoning and the answer is dropped."""
    CONTENT = auto()


@dataclass(slots=True)
class ReasoningParser:
    """See `Parser`. White space around the reasoning is dropped.

    inside: the output begins within the reasoning.  anywhere: reasoning may also begin within the answer, and a closing
    mark alone is dropped.
    """

    opening: str
    closing: str
    inside: bool = False
    anywhere: bool = False
    _held: str = ""
    _stage: _Stage = _Stage.START
    _begun: bool = False
    """Some of the current reasoning was sent."""

    def __post_init__(self) -> None:
        if self.inside:
            self._stage = _Stage.REASONING

    def push(self, text: str) -> list[Event]:
        """See Parser."""
        self._held += text
        events: list[Event] = []
        while self._advance(events):
            pass
        return events

    def end(self) -> list[Event]:
        """See Parser."""
        rest, self._held = self._held, ""
        if self._stage is _Stage.REASONING:
            rest = rest.rstrip() if self._begun else rest.strip()
            return [Reasoning(rest)] if rest else []
        return [Content(rest)] if rest and self._stage is not _Stage.AFTER else []

    def _advance(self, events: list[Event]) -> bool:
        match self._stage:
            case _Stage.START:
                return self._begin()
            case _Stage.REASONING:
                return self._read_reasoning(events)
            case _Stage.AFTER:
                self._held = self._held.lstrip()
                # A model may reason again before it answers.
                if self._held.startswith(self.opening):
                    self._held, self._stage = self._held.removeprefix(self.opening), _Stage.REASONING
                elif self._held and not self.opening.startswith(self._held):
                    self._stage = _Stage.CONTENT
                else:
                    return False
                return True
            case _Stage.CONTENT:
                return self._read_content(events)

    def _begin(self) -> bool:
        text = self._held.lstrip()
        if text.startswith(self.opening):
            self._held, self._stage = text.removeprefix(self.opening), _Stage.REASONING
        elif self.opening.startswith(text):
            return False
        else:
            self._stage = _Stage.CONTENT
        return True

    def _read_reasoning(self, events: list[Event]) -> bool:
        if not self._begun:
            # The prompt may have opened the reasoning, and the model opens it again, even more than once.
            self._held = self._held.lstrip()
            while self._held.startswith(self.opening):
                self._held = self._held.removeprefix(self.opening).lstrip()
            if self.opening.startswith(self._held):
                return False
        found = first_mark(self._held, [self.closing])
        cut = found[0] if found else len(self._held) - partial_mark(self._held, [self.closing])
        text = self._held[:cut].rstrip()
        if not self._begun:
            text = text.lstrip()
        if text:
            events.append(Reasoning(text))
            self._begun = True
        if found is None:
            self._held = self._held[len(self._held[:cut].rstrip()) :]
            return False
        self._held = self._held[found[0] + len(self.closing) :]
        self._stage, self._begun = _Stage.AFTER, False
        return True

    def _read_content(self, events: list[Event]) -> bool:
        if not self.anywhere:
            if self._held:
                events.append(Content(self._held))
            self._held = ""
            return False
        marks = [self.opening, self.closing]
        found = first_mark(self._held, marks)
        cut = found[0] if found else len(self._held) - partial_mark(self._held, marks)
        if cut:
            events.append(Content(self._held[:cut]))
        if found is None:
            self._held = self._held[cut:]
            return False
        self._held = self._held[found[0] + len(found[1]) :]
        self._stage = _Stage.REASONING if found[1] == self.opening else _Stage.CONTENT
        return True
