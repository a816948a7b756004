"""What can go wrong, one class per reaction."""

from pathlib import Path


class BringUpError(Exception):
    """The user must act; the message says how.  Ends the run without a traceback."""


class CommandFailedError(BringUpError):
    """A command ended badly or too late.  The caller may have another way."""


class StoppedError(BringUpError):
    """Another step failed first, or the user pressed Ctrl-C: end quietly."""


class StepFailedError(BringUpError):
    """A step has failed and has said so: only the exit code is left to set."""

    def __init__(self, name: str, log: Path) -> None:
        """Name the step and the file that tells why."""
        super().__init__(f"{name} failed, see {log}")
