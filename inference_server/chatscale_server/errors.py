"""Errors that stop the server. Errors of a single request are `chatscale_contract.openai.errors.ApiError`."""


class StartupError(Exception):
    """The server cannot start or continue. The message becomes the termination message, the code the exit code."""

    def __init__(self, code: int, message: str) -> None:
        """`code` is an `ExitCode`."""
        super().__init__(message)
        self.code = code
