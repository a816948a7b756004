"""Standard output of a command whose reader may end first, as with `| head`."""

import os
import sys


def discard_output() -> None:
    """After a BrokenPipeError. Without this, the interpreter would report it again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
