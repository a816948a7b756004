"""Exit codes of the inference server."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a server that could not go on has exited; the operator turns these into conditions."""

    BAD_SETTINGS = 64
    MODEL_NOT_FOUND = 66
    """The URI names nothing that can be reached."""
    MODEL_UNSUPPORTED = 65
    """The files are there, and this engine cannot run them."""
    MODEL_TOO_LARGE = 69
    """Weights and KV cache do not fit into the memory limit or the GPU."""
    ENGINE_FAILED = 70
    """The engine raised or got stuck after start; every request was answered with an error first."""
