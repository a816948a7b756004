"""Documents as sections: text under a path of headings. Markdown, plain text and HTML; scripts are left out."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from typing_extensions import override

from chatscale_assistant.errors import SourceError
from chatscale_assistant.retrieval.decoding import decode

_HEADING: Final = re.compile(r"^ {0,3}(#{1,6})\s+(.+?)\s*#*\s*$")
_UNDERLINE: Final = re.compile(r"^ {0,3}(=+|-{2,})\s*$")
_FENCE: Final = re.compile(r"^ {0,3}(```|~~~)")
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_LINK: Final = re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS: Final = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")
_RULE: Final = re.compile(r"^ {0,3}([-*_])(\s*\1){2,}\s*$|^[\s|:-]+$")
_ITEM: Final = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_LOOKS_LIKE_HTML: Final = re.compile(r"^\s*(?:<!doctype html|<html|<body|<head)", re.IGNORECASE)
_SUFFIXES: Final = {"md": "markdown", "markdown": "markdown", "txt": "markdown", "text": "markdown"} | {
    "html": "html",
    "htm": "html",
    "xhtml": "html",
}


_LONGEST_LINE: Final = 5000
"""Characters of a line whose markup is read. A longer line is text as it is: the patterns above take quadratic time."""


@dataclass(frozen=True, slots=True)
class Section:
    """Text below one heading, without the sections inside it."""

    headings: tuple[str, ...]
    """From the document's title to the nearest heading."""
    text: str
    """One block (paragraph, list item, table row) a line."""


def read_sections(source: str, file: str, raw: bytes) -> list[Section]:
    """The sections of a document. Raises SourceError for another format and for text that is not UTF-8."""
    name = file.rsplit("/", 1)[-1]
    suffix = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    if suffix and suffix not in _SUFFIXES:
        raise SourceError(f"source {source}: {file}: expected Markdown, text or HTML, found a file named .{suffix}")
    text = decode(source, file, raw)
    if _SUFFIXES.get(suffix) == "html" or (not suffix and _LOOKS_LIKE_HTML.match(text)):
        return _read_html(f"source {source}: {file}", text)
    return _read_markdown(text)


class _Outline:
    """Collects blocks under the headings seen so far."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._blocks: list[str] = []

    def heading(self, level: int, title: str) -> None:
        self.flush()
        self._path = [each for each in self._path if each[0] < level]
        if title := " ".join(title.split()):
            self._path.append((level, title))

    def block(self, text: str) -> None:
        if text := " ".join(text.split()):
            self._blocks.append(text)

    def flush(self) -> None:
        if self._blocks:
            self.sections.append(Section(tuple(title for _, title in self._path), "\n".join(self._blocks)))
        self._blocks = []


def _read_markdown(text: str) -> list[Section]:
    outline = _Outline()
    lines = _COMMENT.sub("", text).splitlines()
    paragraph: list[str] = []
    fenced = False

    def end_paragraph() -> None:
        outline.block(" ".join(paragraph))
        paragraph.clear()

    for line in lines:
        if _FENCE.match(line):
            fenced = not fenced
            end_paragraph()
        elif fenced:
            outline.block(line)
        elif len(line) > _LONGEST_LINE:
            end_paragraph()
            outline.block(line)
        elif heading := _HEADING.match(line):
            end_paragraph()
            outline.heading(len(heading.group(1)), _plain(heading.group(2)))
        elif len(paragraph) == 1 and (underline := _UNDERLINE.match(line)):
            outline.heading(1 if underline.group(1)[0] == "=" else 2, paragraph[0])
            paragraph.clear()
        elif not line.strip() or _RULE.match(line):
            end_paragraph()
        else:
            if _ITEM.match(line) or "|" in line:
                end_paragraph()
            paragraph.append(_plain(_ITEM.sub("", line.replace("|", " "))))
    end_paragraph()
    outline.flush()
    return outline.sections


def _plain(line: str) -> str:
    return _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", line.removeprefix(">")))


_SKIPPED: Final = frozenset({"script", "style", "noscript", "template", "nav", "svg", "iframe", "object", "head"})
_BLOCKS: Final = frozenset(
    """
    p div li ul ol table tr section article main header footer br hr dd dt dl pre blockquote h1 h2 h3 h4 h5 h6
    """.split()  # noqa: SIM905 - readable
)
_HEADINGS: Final = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_OPEN_TAGS: Final = 100
_LONGEST_HTML: Final = 5 * 2**20
_VOID: Final = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905


class _HtmlReader(HTMLParser):
    """Visible text only: hidden elements are where injected instructions hide."""

    def __init__(self, outline: _Outline) -> None:
        super().__init__(convert_charrefs=True)
        self._outline = outline
        self._text: list[str] = []
        self._skipping: list[str] = []
        self._heading = 0

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._end_block()
        attributes = dict(attrs)
        hidden = "hidden" in attributes or _HIDDEN.search(attributes.get("style") or "") is not None
        # While something is skipped, only elements of the same name are counted: other end tags may be missing.
        if tag not in _VOID and ((not self._skipping and (tag in _SKIPPED or hidden)) or tag in self._skipping):
            self._skipping.append(tag)
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]

    @override
    def handle_endtag(self, tag: str) -> None:
        if self._skipping and self._skipping[-1] == tag:
            self._skipping.pop()
        elif tag in _BLOCKS:
            self._end_block()

    @override
    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data)

    def _end_block(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        if self._heading:
            self._outline.heading(self._heading, text)
            self._heading = 0
        else:
            self._outline.block(text)

    @override
    def close(self) -> None:
        super().close()
        self._end_block()
        self._outline.flush()


def _read_html(where: str, text: str) -> list[Section]:
    outline = _Outline()
    # The parser of the standard library takes quadratic time for tags that never end.
    if text.count("<", text.rfind(">") + 1) > _OPEN_TAGS or len(text) > _LONGEST_HTML:
        raise SourceError(f"{where}: expected HTML of at most {_LONGEST_HTML} characters whose tags end")
    reader = _HtmlReader(outline)
    try:
        reader.feed(text)
        reader.close()
    except AssertionError as e:  # the standard library's answer to some broken declarations
        raise SourceError(f"{where}: expected HTML, found a broken declaration") from e
    return outline.sections
