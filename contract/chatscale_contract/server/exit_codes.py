"""Exit codes of the inference server."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a server exited with an error. The operator reports it as a condition."""

    BAD_SETTINGS = 64
    MODEL_NOT_FOUND = 66
    """There is no model at the URI, or it cannot be reached."""
    MODEL_UNSUPPORTED = 65
    """The engine cannot run the model's files."""
    MODEL_TOO_LARGE = 69
    """Weights and KV cache exceed the memory limit or the GPU's memory."""
    ENGINE_FAILED = 70
    """After startup the engine could not compute a single token, or got stuck. All requests got an error response
    first. An error in one request does not end the server."""
