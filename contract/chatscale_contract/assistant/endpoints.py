"""Ports, paths and mounted files of an assistant's pod."""

from typing import Final

HTTP_PORT: Final = 8000
"""TCP port of the OpenAI-compatible API, the tasks, the probes, `/load` and `/metrics`; as a ChatModel's replica."""
TASKS_PATH: Final = "/v1/tasks"
"""POST `TASKS_PATH/NAME`: one task, or a batch with `inputs`. GET `TASKS_PATH`: names and JSON schemas."""
STATE_PATH: Final = "/state"
"""GET: an `AssistantState`, for the operator."""
DESK_PATH: Final = "/v1/desk/chatwoot"
"""POST: webhook of Chatwoot's agent bot."""
LIVEZ_PATH: Final = "/livez"
READYZ_PATH: Final = "/readyz"
"""200 from the first index until SIGTERM. The pod waits a minute at most for the vectors; `AssistantState.embedded`."""

CONFIG_MOUNT_PATH: Final = "/etc/chatscale/assistant"
SPEC_FILE: Final = f"{CONFIG_MOUNT_PATH}/assistant.json"
"""A `ShopAssistant` as JSON: metadata (name, namespace, uid), spec, and `status.tools` with the pinned digests."""
KNOWLEDGE_MOUNT_PATH: Final = "/knowledge"
"""`KNOWLEDGE_MOUNT_PATH/NAME` has the files of the source NAME: a ConfigMap or a claim, read-only."""
SECRETS_MOUNT_PATH: Final = "/secrets"
"""One file for each key: `model/key`, `identity/key`, `desk/{url,signature,apiToken,accountId}`, `store/url`,
`tools/NAME/token`, `signing/key` (random bytes that all pods of the assistant share, for pending confirmations)."""
EVALUATION_FILE: Final = "/evaluation/report.json"
INDEX_FOLDER: Final = "/index"
"""An emptyDir: the SQLite file and the cache of embeddings."""

GATEWAY_URL_VARIABLE: Final = "CHATSCALE_ASSISTANT_GATEWAY_URL"
"""Address of the gateway, such as http://chatscale-gateway.chatscale."""
GRACE_VARIABLE: Final = "CHATSCALE_ASSISTANT_GRACE_SECONDS"
"""Seconds that requests may last after SIGTERM. The operator sets it above `spec.model.timeoutSeconds`."""
EXTRAS_FIELD: Final = "chatscale"
"""Name of the object in requests and answers that holds what OpenAI's API has no field for (`extras`)."""
FROM_ASSISTANT_HEADER: Final = "X-Shop-Assistant"
"""In every request of an assistant to its chat model. An assistant refuses it: two assistants could call each other."""
CUSTOMER_TOKEN_HEADER: Final = "X-Shop-Customer"  # noqa: S105 - a header's name
"""Request header with the shop's token for the customer; `EXTRAS_FIELD.customer_token` in the body does the same."""
