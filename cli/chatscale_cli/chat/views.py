"""Shows answers: Markdown on a terminal, plain text elsewhere. Texts that come here are printable."""

import time
from collections.abc import Callable
from typing import Final, Protocol, TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text
from typing_extensions import override

from chatscale_cli.chat.answer import Answer
from chatscale_cli.chat.blocks import Block, Blocks
from chatscale_cli.chat.markdown import ModelMarkdown

REFRESH_S: Final = 0.1
_MOST_OF_TIME: Final = 0.2
"""Part of the time that drawing may take: a slow terminal must not slow down the answer."""
_RESERVED_LINES: Final = 2
_MIN_LINES: Final = 3


class View(Protocol):
    """Shows one answer after another."""

    def begin(self, choices: int) -> None:
        """An answer is about to come."""

    def add(self, choice: int, text: str) -> None:
        """More text of a choice."""

    def draw(self, status: str) -> float:
        """Show what there is. status: shown while there is no text. Returns seconds until the next call is useful."""
        ...

    def end(self, answer: Answer) -> None:
        """The answer is complete, or was stopped, or failed."""


class PlainView(View):
    """Writes the text as it comes. Several choices are written one after the other, at the end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._choices = 1

    @override
    def begin(self, choices: int) -> None:
        self._choices = choices

    @override
    def add(self, choice: int, text: str) -> None:
        if self._choices == 1:
            self._out.write(text)

    @override
    def draw(self, status: str) -> float:
        self._out.flush()
        return REFRESH_S

    @override
    def end(self, answer: Answer) -> None:
        if self._choices > 1:
            texts = [answer.text(choice).rstrip("\n") for choice in sorted(answer.parts)]
            self._out.writelines(f"--- answer {at} ---\n{text}\n" for at, text in enumerate(texts, 1))
        elif (text := answer.text()) and not text.endswith("\n"):
            self._out.write("\n")
        self._out.flush()


class RichView(View):
    """Markdown. Finished blocks are printed once; below them the rest is drawn anew, at most a screen of it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._blocks = Blocks()
        self._choices = 1
        self._chars = 0
        self._printed = False
        self._drawn: tuple[int, str] | None = None
        """Characters and status of the newest drawing: an unchanged one is not repeated."""

    @override
    def begin(self, choices: int) -> None:
        self._blocks, self._choices, self._chars, self._printed = Blocks(), choices, 0, False
        self._drawn = None
        self._live = Live(
            Text(), console=self._console, auto_refresh=False, transient=True, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip
        self._live.start()

    @override
    def add(self, choice: int, text: str) -> None:
        self._chars += len(text)
        if self._choices == 1:
            self._print(*self._blocks.feed(text))

    @override
    def draw(self, status: str) -> float:
        began_s = self._clock()
        if self._live is not None and self._drawn != (self._chars, status):
            self._drawn = (self._chars, status)
            self._live.update(self._changing(status), refresh=True)
        return max(REFRESH_S, (self._clock() - began_s) / _MOST_OF_TIME)

    @override
    def end(self, answer: Answer) -> None:
        if self._live is not None:
            self._live.update(Text())
            self._live.stop()
            self._live = None
        if self._choices > 1:
            for at, choice in enumerate(sorted(answer.parts), 1):
                self._console.rule(f"answer {at}", align="left", style="dim")
                self._blocks, self._printed = Blocks(), False
                self._print(*self._blocks.feed(answer.text(choice)), *self._blocks.end())
        else:
            self._print(*self._blocks.end())
        if answer.remark:
            self._console.print(Text(f"({answer.remark})", style="dim"))
        self._console.print()

    def _changing(self, status: str) -> RenderableType:
        if self._choices > 1 and self._chars:
            return Text(f"{self._choices} answers, {self._chars:,} characters", style="dim")
        rest = self._blocks.rest
        if not rest.strip():
            return Text(status, style="dim")
        shown = _Trimmed(_rendered(rest, is_markdown=self._blocks.rest_is_markdown), self._screen_lines())
        return Padding(shown, (0 if self._blocks.rest_follows or not self._printed else 1, 0, 0, 0))

    def _screen_lines(self) -> int:
        return max(_MIN_LINES, self._console.size.height - _RESERVED_LINES)

    def _print(self, *blocks: Block) -> None:
        """One empty line is between two blocks."""
        for block in blocks:
            if self._printed and not block.follows:
                self._console.print()
            self._printed = True
            self._console.print(_Trimmed(_rendered(block.text, is_markdown=block.is_markdown)))


def _rendered(text: str, *, is_markdown: bool) -> RenderableType:
    return ModelMarkdown(text) if is_markdown else Text(text.rstrip("\n"))


class _Trimmed:
    """A text without empty lines around it, and at most its last `most` lines."""

    def __init__(self, shown: RenderableType, most: int | None = None) -> None:
        self._shown = shown
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._shown, options.update(height=None), pad=False)
        filled = [at for at, line in enumerate(lines) if any(segment.text.strip() for segment in line)]
        shown = lines[filled[0] : filled[-1] + 1] if filled else []
        for line in shown if self._most is None else shown[-self._most :]:
            yield from line
            yield Segment.line()
