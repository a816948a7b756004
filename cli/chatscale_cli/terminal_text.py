"""Text of others, as a terminal may show it. Pure.

A model, a server or a ChatModel could otherwise send escape sequences: they move the cursor, rename the window, write
the clipboard, or hide text. All decisions are made character by character, so a stream may be split anywhere.
"""

from typing import Final

_KEPT: Final = "\n\t"
_PICTURES: Final = 0x2400
"""Unicode has a picture for each of the first 32 control characters, from here on."""
_DELETE: Final = 0x7F
_C1: Final = range(0x80, 0xA0)
"""Control characters of eight bits. Some terminals take U+009B for the begin of an escape sequence."""
_BIDI: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""They show text in another order than it has."""
_LINES: Final = (0x2028, 0x2029)
_SURROGATES: Final = range(0xD800, 0xE000)
"""JSON can contain lone ones; UTF-8 cannot."""
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_TABLE: Final[dict[int, str | None]] = {
    **{code: chr(_PICTURES + code) for code in range(0x20) if chr(code) not in _KEPT},
    ord("\r"): None,
    _DELETE: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys((*_C1, *_BIDI, *_SURROGATES), _REPLACEMENT),
    **dict.fromkeys(_LINES, "\n"),
}


def printable(text: str) -> str:
    """The text with visible pictures instead of control characters. Line ends and tabs stay; carriage returns go."""
    return text.translate(_TABLE)


def one_line(text: str) -> str:
    """As `printable`, with all whitespace as single spaces: for messages and table cells."""
    return " ".join(printable(text).split())
