"""Splits a growing Markdown text into blocks that no longer change. Pure.

A finished block is printed once. Only the rest is drawn again and again, so the work for a screen does not grow with
the answer.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_BLOCK_CHARS: Final = 8000
"""A longer block is cut: at a line of a code block, and elsewhere without its Markdown."""
_FENCE: Final = re.compile(r"\s*(`{3,}|~{3,})([^`]*)")


@dataclass(frozen=True, slots=True)
class Block:
    """A finished part of an answer."""

    text: str
    is_markdown: bool = True
    follows: bool = False
    """It is the rest of the block before it."""


class Blocks:
    """The blocks of one answer. The text comes in parts of any size."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        """Lines of the unfinished block, with their ends."""
        self._chars = 0
        self._partial = ""
        """The line without an end."""
        self._fence = ""
        """The marks that opened the code block which is not closed."""
        self._opening = ""
        """The line with these marks."""
        self._blank = False
        """A blank line ended; the next line decides whether the block ends."""
        self._plain = False
        self._follows = False

    @property
    def rest(self) -> str:
        """The text after the finished blocks."""
        return "".join(self._lines) + self._partial

    @property
    def rest_is_markdown(self) -> bool:
        """False after a cut."""
        return not self._plain

    @property
    def rest_follows(self) -> bool:
        """True after a cut."""
        return self._follows

    def feed(self, text: str) -> list[Block]:
        """Add text. Returns the blocks that it finishes."""
        found: list[Block] = []
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._add(line + "\n", found)
        while len(self._partial) > MAX_BLOCK_CHARS:
            line, self._partial = self._partial[:MAX_BLOCK_CHARS], self._partial[MAX_BLOCK_CHARS:]
            self._add(line, found)
        return found

    def end(self) -> list[Block]:
        """The answer is complete. Returns the rest as a block."""
        found: list[Block] = []
        if self._partial:
            self._add(self._partial, found)
            self._partial = ""
        self._finish(found)
        return found

    def _add(self, line: str, found: list[Block]) -> None:
        is_blank = not line.strip()
        if self._blank and not is_blank and not self._fence and not line[0].isspace():
            self._finish(found)
        if self._chars + len(line) > MAX_BLOCK_CHARS and self._lines:
            self._cut(found)
        self._read_fence(line)
        self._blank = is_blank
        self._lines.append(line)
        self._chars += len(line)

    def _read_fence(self, line: str) -> None:
        mark = _FENCE.match(line)
        if mark is None:
            return
        if not self._fence:
            self._fence, self._opening = mark[1], line
        elif mark[1].startswith(self._fence) and not mark[2].strip():
            self._fence = self._opening = ""

    def _cut(self, found: list[Block]) -> None:
        if self._fence:
            text = "".join(self._lines)
            found.append(Block(f"{text.rstrip(chr(10))}\n{self._fence}\n", follows=self._follows))
            opening = self._opening if self._opening.endswith("\n") else f"{self._fence}\n"
            self._lines, self._chars = [opening], len(opening)
        else:
            found.append(Block("".join(self._lines), is_markdown=False, follows=self._follows))
            self._lines, self._chars, self._plain = [], 0, True
        self._follows = True

    def _finish(self, found: list[Block]) -> None:
        text = "".join(self._lines)
        if text.strip():
            found.append(Block(text, is_markdown=not self._plain, follows=self._follows))
        self._lines, self._chars, self._blank, self._plain, self._follows = [], 0, False, False, False
        self._fence = self._opening = ""
