"""A conversation: what the model gets with each message, and what `/save` writes. Pure."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Self

_TITLES: Final = {"system": "System", "user": "You", "assistant": "Model"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message. role: system, user or assistant."""

    role: str
    text: str

    def fields(self) -> dict[str, str]:
        """As a request has it."""
        return {"role": self.role, "content": self.text}


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages of a person and answers in turn, and the system prompt before them."""

    system: str = ""
    messages: tuple[Message, ...] = ()

    def with_message(self, text: str) -> Self:
        """After a message of the person."""
        return replace(self, messages=(*self.messages, Message("user", text)))

    def with_answer(self, text: str) -> Self:
        """After an answer."""
        return replace(self, messages=(*self.messages, Message("assistant", text)))

    def before_last_message(self) -> tuple[Self, str | None]:
        """The conversation before the person's last message, and this message; None if there is none."""
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at].role == "user":
                return replace(self, messages=self.messages[:at]), self.messages[at].text
        return self, None

    def request(self, model: str, generation: dict[str, Any]) -> dict[str, Any]:
        """The body of a chat request."""
        return {"model": model, "messages": [message.fields() for message in self._all()], **generation}

    def as_json(self, model: str) -> str:
        """For `/save FILE.json`: the body of a request, without the flags."""
        return json.dumps(self.request(model, {}), indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self, model: str) -> str:
        """For `/save` of another file."""
        parts = [f"# Conversation with {model}"]
        for message in self._all():
            parts += [f"## {_TITLES[message.role]}", message.text.strip()]
        return "\n\n".join(parts) + "\n"

    def _all(self) -> tuple[Message, ...]:
        return (Message("system", self.system), *self.messages) if self.system else self.messages
