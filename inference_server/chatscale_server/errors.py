"""What can stop the server as a whole; errors of a single request live in `http/errors.py`."""

from chatscale_server.wire import ExitCode


class StartupError(Exception):
    """The server cannot start: its message is the termination message, its code the exit code."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
