"""Markdown of a model for a terminal, without anything that the text does not show."""

from collections.abc import Iterable
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.markdown import Markdown

from chatscale_cli.terminal_text import printable

_CODE_THEME: Final = "ansi_dark"
"""The terminal's own colours, so that it fits dark and light."""


class ModelMarkdown(Markdown):
    """Markdown with HTML as text and without hidden link targets.

    A hyperlink of a terminal can show another address than it opens, so addresses are written behind the text of the
    link. Entities such as `&#8238;` become characters when the text is parsed, so the result is made printable again.
    """

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=_CODE_THEME, hyperlinks=False)
        parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
        self.markup = text
        self.parsed = parser.parse(text)
        _make_printable(self.parsed)


def _make_printable(tokens: Iterable[Token]) -> None:
    for token in tokens:
        token.content = printable(token.content)
        token.attrs = {name: printable(v) if isinstance(v, str) else v for name, v in token.attrs.items()}
        if token.children:
            _make_printable(token.children)
