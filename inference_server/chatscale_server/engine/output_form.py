"""Forms of output that a constraint can enforce. Pure values, hashable; `grammar` compiles them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fixed:
    """The server's own text. The names of control tokens in it are those tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A text of the client, without control tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value that follows a schema."""

    schema: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A text that matches a regular expression as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class FreeText:
    """Any text, without control tokens."""


@dataclass(frozen=True, slots=True)
class TextUntil:
    """Any text up to a mark, which ends it."""

    mark: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Forms one after another."""

    forms: "tuple[Form, ...]"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several forms."""

    forms: "tuple[Form, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A form any number of times, or not at all."""

    form: "Form"


@dataclass(frozen=True, slots=True)
class Triggered:
    """Any text. As soon as it contains the trigger, the body follows; then any text again."""

    trigger: str
    body: "Form"
    once: bool = False
    """The output ends after the first body."""


Form = Fixed | Plain | Json | Regex | FreeText | TextUntil | Chain | OneOf | Repeat | Triggered


def either(*forms: Form) -> Form:
    """One of the forms; the form itself if it is the only one."""
    return forms[0] if len(forms) == 1 else OneOf(forms)
