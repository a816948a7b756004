"""Ports and paths of an inference server replica."""

from typing import Final

HTTP_PORT: Final = 8000
"""TCP port of the OpenAI-compatible API, the probes and `/metrics`."""

HTTP_PORT_NAME: Final = "http"

CHAT_COMPLETIONS_PATH: Final = "/v1/chat/completions"
COMPLETIONS_PATH: Final = "/v1/completions"
EMBEDDINGS_PATH: Final = "/v1/embeddings"
CLASSIFY_PATH: Final = "/v1/classify"
MODELS_PATH: Final = "/v1/models"
TOKENIZE_PATH: Final = "/tokenize"
DETOKENIZE_PATH: Final = "/detokenize"
METRICS_PATH: Final = "/metrics"
PROMPT_TOKENS_HEADER: Final = "X-Chatscale-Prompt-Tokens"
"""Response header of a stream: tokens of all prompts, each counted once. The gateway needs it for a stream that ends
without usage, because its client left."""
CACHED_TOKENS_HEADER: Final = "X-Chatscale-Cached-Tokens"
"""Response header of a stream: those of the prompt tokens that the replica found in its KV cache."""
LIVEZ_PATH: Final = "/livez"
"""200 while the event loop responds and the engine makes progress. A full or draining server is alive."""
READYZ_PATH: Final = "/readyz"
"""200 from the end of the warm-up until SIGTERM. A server with a full queue is ready, and rejects requests with 429."""

MODEL_MOUNT_PATH: Final = "/models"
"""Mount path of `pvc://` volumes, and location of models that are part of an image."""

SLO_MOUNT_PATH: Final = "/etc/chatscale/slo"
"""Folder of `SLO_FILE_NAME`. The kubelet updates the file while the server runs."""
SLO_FILE_NAME: Final = "slo.json"
"""The latency objectives, as `slo.LatencyObjectives` writes and reads them."""
SLO_FILE_PATH: Final = f"{SLO_MOUNT_PATH}/{SLO_FILE_NAME}"

TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
"""The server writes one sentence here before it exits with an `ExitCode`."""
