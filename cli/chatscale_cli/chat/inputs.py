"""What a typed line means: a command, or a message. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HELP: Final = """\
/model NAME    continue with another model; /model alone lists them
/system TEXT   set the system prompt; /system alone removes it
/reset         begin a new conversation; the system prompt stays
/retry         send the last message again, for another answer
/save FILE     write the conversation: JSON for FILE.json, else Markdown
/help          this list
/exit, exit    end; so does Ctrl-D

Enter sends. Alt+Enter, or Esc and then Enter, begins a new line. Ctrl-C stops an answer.
A message that begins with a slash and a word: write a space before it.
"""
_COMMAND: Final = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)


class Action(StrEnum):
    """The commands."""

    MODEL = "model"
    SYSTEM = "system"
    RESET = "reset"
    RETRY = "retry"
    SAVE = "save"
    HELP = "help"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Do:
    """A command with the text behind it."""

    action: Action
    text: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word with a slash that is no command. It is not sent: a typing error must not reach the model."""

    name: str


def read_input(line: str) -> Do | Say | Unknown | None:
    """None for an empty line."""
    text = line.strip()
    if not text:
        return None
    if text == Action.EXIT:
        return Do(Action.EXIT)
    found = _COMMAND.fullmatch(text) if line.startswith("/") else None
    if found is None:
        return Say(text)
    name, rest = found[1], (found[2] or "").strip()
    return Do(Action(name), rest) if name in set(Action) else Unknown(name)
