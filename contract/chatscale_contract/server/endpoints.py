"""Ports and paths of an inference server replica."""

from typing import Final

HTTP_PORT: Final = 8000
"""TCP port of the OpenAI-compatible API, the probes and `/metrics`."""

HTTP_PORT_NAME: Final = "http"

CHAT_COMPLETIONS_PATH: Final = "/v1/chat/completions"
COMPLETIONS_PATH: Final = "/v1/completions"
MODELS_PATH: Final = "/v1/models"
TOKENIZE_PATH: Final = "/tokenize"
DETOKENIZE_PATH: Final = "/detokenize"
METRICS_PATH: Final = "/metrics"
LIVEZ_PATH: Final = "/livez"
"""200 while the event loop answers and the engine steps; a full queue or a draining server is alive."""
READYZ_PATH: Final = "/readyz"
"""200 from the end of warm-up until SIGTERM. A full queue is ready: it answers 429 by itself."""

MODEL_MOUNT_PATH: Final = "/models"
"""Where `pvc://` volumes are mounted and where images carry a model of their own."""

TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
"""The server writes one readable sentence here before it exits with a non-zero `ExitCode`."""
