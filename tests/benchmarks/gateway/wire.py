"""The requests of the benchmark, and how a request tells the stub replica what to do.

The plan is the system message, because every proxy passes messages on unchanged.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

MODEL: Final = "tiny"
CHAT: Final = "/v1/chat/completions"
RUNNING_PATH: Final = "/bench/running"
"""GET of the replica: number of requests that it works on."""
STOPS_PATH: Final = "/bench/stops"
"""GET of the replica: by X-Request-Id, when work ended because the connection was lost (monotonic seconds)."""
TOKENS_PATH: Final = "/bench/tokens"
"""GET of the replica: number of tokens that it has generated."""
USAGE_PATH: Final = "/bench/usage"
"""GET of the replica: number of prompt and generated tokens that it has counted."""
PROMPT_TOKENS: Final = 400
"""Of each request, as the replica counts."""
GOOD_KEY: Final = "csk-bench-good"
LIMITED_KEY: Final = "csk-bench-limited"
LIMIT_PER_MINUTE: Final = 24_000
"""Output tokens of the limited key."""
ANSWER_TOKENS: Final = 20
_PROMPT_WORDS: Final = 380


@dataclass(frozen=True, slots=True)
class Plan:
    """What the replica does with one request."""

    tokens: int = ANSWER_TOKENS
    first_s: float = 0.0
    """Delay before the answer or its first chunk."""
    every_s: float = 0.01
    """Between two chunks of a stream."""

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        """The plan in a request body."""
        return cls(**json.loads(body["messages"][0]["content"]))


def body(plan: Plan, *, streamed: bool, **fields: object) -> bytes:
    """A chat request with a prompt of about 2 kB. fields: further ones of the body."""
    messages = [
        {"role": "system", "content": json.dumps(asdict(plan))},
        {"role": "user", "content": "word " * _PROMPT_WORDS},
    ]
    return json.dumps({"model": MODEL, "messages": messages, "stream": streamed, **fields}).encode()
