"""What can stop the server as a whole; errors of a single request live in `http/errors.py`."""


class StartupError(Exception):
    """The server cannot start or go on: its message is the termination message, its code the exit code."""

    def __init__(self, code: int, message: str) -> None:
        """`code` is a `ExitCode`."""
        super().__init__(message)
        self.code = code
