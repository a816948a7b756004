"""An encoder behind an OpenAI-compatible `/v1/embeddings`, such as a ChatModel that serves BERT.

It blocks, as the other encoders do: call it from the worker thread. A question waits 2 s at most, a batch of passages
60 s. Use it with both other encoders or without them; the index is built anew when the model's name changes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Final, cast
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.encoders.texts import clean, normalise
from chatscale_assistant.errors import SourceError

BATCH: Final = 32
"""Texts in one request."""
MAX_BYTES: Final = 64 * 2**20
"""Of one response."""


class _NoRedirects(HTTPRedirectHandler):
    """The API key must not follow a redirect."""

    @override
    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class EmbeddingsApi(Encoder):
    """One model of an OpenAI-compatible API."""

    base_url: str
    """Up to and without /embeddings; http or https."""
    model: str
    dimensions: int
    """What the model returns; anything else is an error."""
    key: str = field(default="", repr=False)
    query_prefix: str = ""
    passage_prefix: str = ""
    query_timeout_s: float = 2
    passage_timeout_s: float = 60
    """Seconds for one read from the socket."""
    _opener: OpenerDirector = field(default_factory=lambda: build_opener(_NoRedirects), repr=False)

    @property
    @override
    def name(self) -> str:
        return f"{self.model}-{self.dimensions}"

    @override
    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed([self.query_prefix + each for each in clean(texts)], self.query_timeout_s)

    @override
    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed([self.passage_prefix + each for each in clean(texts)], self.passage_timeout_s)

    def _embed(self, texts: list[str], timeout_s: float) -> NDArray[np.float32]:
        parts = [self._request(texts[i : i + BATCH], timeout_s) for i in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimensions), dtype=np.float32)

    def _request(self, texts: list[str], timeout_s: float) -> NDArray[np.float32]:
        url = f"{self.base_url.rstrip('/')}/embeddings"
        if not url.startswith(("http://", "https://")):
            raise SourceError(f"encoder {self.name}: expected an http or https address, found {url.split(':', 1)[0]!r}")
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        body = json.dumps({"model": self.model, "input": texts}).encode()
        try:
            with self._opener.open(Request(url, body, headers), timeout=timeout_s) as response:  # noqa: S310 - see above
                raw = cast("bytes", response.read(MAX_BYTES + 1))
        except (URLError, HTTPException, OSError) as e:
            raise SourceError(f"encoder {self.name}: {url} failed: {e}") from e
        return self._parse(raw, len(texts))

    def _parse(self, raw: bytes, expected: int) -> NDArray[np.float32]:
        try:
            rows = sorted(json.loads(raw)["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError, RecursionError) as e:
            raise SourceError(f"encoder {self.name}: expected a list of embeddings: {e!r}") from e
        if vectors.shape != (expected, self.dimensions):
            raise SourceError(
                f"encoder {self.name}: expected {expected} vectors of {self.dimensions} numbers, found {vectors.shape}"
            )
        return normalise(vectors)
