"""A program in a pseudo-terminal: the test types, and reads what a person would see."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

CTRL_C, CTRL_D, ESC_ENTER = "\x03", "\x04", "\x1b\r"
WITHIN_S = 60.0
"""Python starts slowly on a busy machine."""
_CHECK_S = 0.05
_LINES, _COLUMNS = 40, 100
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_=>])")


class Terminal:
    """What the program wrote, and a way to type."""

    def __init__(self, process: Process, master: int) -> None:
        self.process = process
        self._master = master
        self.output = b""

    @property
    def raw(self) -> str:
        """With escape sequences."""
        return self.output.decode(errors="replace")

    @property
    def text(self) -> str:
        """Without escape sequences and carriage returns."""
        return _SEQUENCE.sub("", self.raw).replace("\r", "")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def enter(self, line: str) -> None:
        """Type a line, and send it."""
        self.type(f"{line}\r")

    async def shows(self, text: str, times: int = 1) -> None:
        """Wait until the program has written a text. AssertionError with all that it wrote."""
        await self.until(lambda: self.text.count(text) >= times, f"{text!r} {times} times")

    async def prompts(self, label: str) -> None:
        """Wait until the program reads a line, and has written all before it."""
        await self.until(lambda: self.text.rstrip().endswith(label), f"prompt {label!r}")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Checks at a person's pace: the output of a long answer is large."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WITHIN_S
        while not condition():
            assert loop.time() < deadline, f"no {what} in:\n{self.text[-4000:]}"
            await asyncio.sleep(_CHECK_S)

    async def ends(self) -> int:
        """The exit code."""
        async with asyncio.timeout(WITHIN_S):
            return await self.process.wait()

    def read(self) -> None:
        try:
            self.output += os.read(self._master, 65536)
        except OSError:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._master)


def _take_terminal() -> None:
    """In the new process: its standard input becomes its controlling terminal, so that Ctrl-C is a signal.

    A shell that runs the tests in the background has turned the signal off for all that it starts.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@asynccontextmanager
async def in_a_terminal(*arguments: str, env: dict[str, str]) -> AsyncIterator[Terminal]:
    """Run `python -m` with the arguments."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    # A pseudo-terminal does not answer where its cursor is.
    settings = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **env}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdin=slave, stdout=slave, stderr=slave, env=settings,
        start_new_session=True, preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(slave)
    terminal = Terminal(process, master)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, terminal.read)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(master)
        os.close(master)
