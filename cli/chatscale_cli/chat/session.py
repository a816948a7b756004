"""The loop of a conversation: reads a message or a command, shows the answer, and goes on after errors."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, assert_never

from chatscale_cli.chat.answer import Answer
from chatscale_cli.chat.conversation import Conversation
from chatscale_cli.chat.generation import Generation
from chatscale_cli.chat.inputs import HELP, Action, Do, Say, Unknown, read_input
from chatscale_cli.chat.reader import Reader
from chatscale_cli.chat.views import View
from chatscale_cli.errors import GatewayError, UnknownModelError
from chatscale_cli.gateway.client import GatewayClient
from chatscale_cli.terminal_text import one_line

Clock = Callable[[], float]
_JSON_SUFFIX: Final = ".json"


class Notices(Protocol):
    """Shows messages of the program itself."""

    def __call__(self, text: str) -> None:
        """Show one message."""


async def receive(client: GatewayClient, body: dict[str, Any], view: View, answer: Answer, clock: Clock) -> None:
    """Send a request, and show its answer while it comes. Raises GatewayError. `answer` keeps what came before."""
    model = one_line(str(body["model"]))

    async def read() -> None:
        async for event in client.chat(body):
            if text := answer.take(event):
                view.add(getattr(event, "choice", 0), text)

    reading = asyncio.ensure_future(read())
    try:
        while not reading.done():
            pause_s = view.draw(answer.waiting_text(model, clock()))
            await asyncio.wait({reading}, timeout=pause_s)
        reading.result()
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, GatewayError):
            await reading


@dataclass(slots=True)
class Session:
    """One start of `chatscale chat` on a terminal."""

    client: GatewayClient
    runner: asyncio.Runner
    reader: Reader
    view: View
    notice: Notices
    generation: Generation
    model: str
    conversation: Conversation
    clock: Clock = time.monotonic
    unanswered: str | None = None
    """The newest message, if it got no answer. `/retry` sends it again."""

    def run(self) -> None:
        """Until `/exit` or the end of the input."""
        while True:
            try:
                found = read_input(self.reader.read(self.model))
                if found == Do(Action.EXIT):
                    return
                self._carry_out(found)
            except EOFError:
                return
            except KeyboardInterrupt:
                self.notice("stopped; Ctrl-D or /exit ends")
            except UnknownModelError as error:
                self.notice(f"{error}")
                with suppress(GatewayError):
                    self._show_models()
            except GatewayError as error:
                self.notice(f"{error}" + ("; /retry sends the message again" if self.unanswered else ""))

    def _carry_out(self, found: Do | Say | Unknown | None) -> None:
        match found:
            case None:
                return
            case Say(text):
                self._say(text)
            case Unknown(name):
                self.notice(f"/{name} is no command; /help lists them")
            case Do(action, text):
                self._do(action, text)
            case _:
                assert_never(found)

    def _do(self, action: Action, text: str) -> None:
        match action:
            case Action.MODEL:
                self._change_model(text)
            case Action.SYSTEM:
                self.conversation = Conversation(text, self.conversation.messages)
                self.notice("the system prompt is set" if text else "there is no system prompt")
            case Action.RESET:
                self.conversation, self.unanswered = Conversation(self.conversation.system), None
                self.notice("a new conversation begins")
            case Action.RETRY:
                self._retry()
            case Action.SAVE:
                self._save(text)
            case Action.HELP:
                self.notice(HELP.rstrip())
            case Action.EXIT:
                raise EOFError
            case _:
                assert_never(action)

    def _say(self, text: str) -> None:
        """A message without any answer leaves the conversation, so that messages and answers stay in turn."""
        self.unanswered = text
        extended = self.conversation.with_message(text)
        answer = Answer(self.clock())
        self.view.begin(self.generation.choices)
        try:
            body = extended.request(self.model, self.generation.fields())
            self.runner.run(receive(self.client, body, self.view, answer, self.clock))
        finally:
            self.view.end(answer)
            if answer.text():
                self.conversation, self.unanswered = extended.with_answer(answer.text()), None
            self.runner.run(self.client.settle())

    def _retry(self) -> None:
        if self.unanswered is not None:
            self._say(self.unanswered)
            return
        before, text = self.conversation.before_last_message()
        if text is None:
            self.notice("there is no message to send again")
            return
        kept, self.conversation = self.conversation, before
        try:
            self._say(text)
        finally:
            if not self.conversation.messages[len(before.messages) :]:
                self.conversation, self.unanswered = kept, None

    def _change_model(self, name: str) -> None:
        if name and self.runner.run(self.client.has_model(name)):
            self.model = name
            self.notice(f"the next messages go to {one_line(name)}")
            return
        if name:
            self.notice(f"unknown model {one_line(name)}")
        self._show_models()

    def _show_models(self) -> None:
        names = self.runner.run(self.client.models())
        self.notice("models: " + (", ".join(map(one_line, names)) or "none"))

    def _save(self, name: str) -> None:
        if not name or not self.conversation.messages:
            self.notice("/save needs a file name" if not name else "there is nothing to save")
            return
        as_json = name.endswith(_JSON_SUFFIX)
        text = self.conversation.as_json(self.model) if as_json else self.conversation.as_markdown(self.model)
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write(text)
        except (OSError, RuntimeError, ValueError) as error:  # no such home, or a character that no path has
            self.notice(f"{one_line(name)} cannot be written: {getattr(error, 'strerror', None) or error}")
        else:
            self.notice(f"saved as {one_line(name)}")
