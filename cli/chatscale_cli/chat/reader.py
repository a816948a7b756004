"""Reads messages from a person at a terminal, with history and several lines."""

import os
from pathlib import Path
from typing import Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from typing_extensions import override

from chatscale_cli.terminal_text import one_line

_FILE: Final = Path("chatscale", "history")
_OWNER_ONLY: Final = 0o600
_FOLDER: Final = 0o700


class Reader(Protocol):
    """Where messages come from."""

    def read(self, label: str) -> str:
        """One message. Raises EOFError at the end of the input and KeyboardInterrupt for Ctrl-C."""
        ...


class TerminalReader(Reader):
    """prompt_toolkit: Enter sends, Alt+Enter begins a new line, arrow keys walk through the history."""

    def __init__(self, *, keep_history: bool) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(keep=keep_history), multiline=True, key_bindings=_bindings(), enable_suspend=True,
            prompt_continuation="... ",
        )  # fmt: skip

    @override
    def read(self, label: str) -> str:
        return self._session.prompt(FormattedText([("bold", f"{one_line(label)}> ")]))


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


def _history(*, keep: bool) -> History:
    """The file is only for its owner: messages can be private. Without a place for it there is no history."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(state).expanduser() / _FILE
    if not keep:
        return InMemoryHistory()
    try:
        path.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, _OWNER_ONLY))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
