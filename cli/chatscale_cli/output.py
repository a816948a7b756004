"""Standard streams of a command: text that is not valid, and readers that end first, as with `| head`."""

import os
import sys
from io import TextIOWrapper
from typing import TextIO


def replace_invalid_text(stream: TextIO) -> None:
    """Read or write a replacement for text that the stream's encoding does not have. Call it before the first read."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")


def discard_output() -> None:
    """After a BrokenPipeError. Without this, the interpreter would report it again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
