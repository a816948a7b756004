"""Bodies of POST /v1/embeddings and /v1/classify, and their responses. Pure.

Embeddings are OpenAI's API. Classification has the bodies of vLLM's /classify.
"""

import array
import base64
import json
import math
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.encoding import EncoderInfo
from chatscale_server.http.schema import MAX_PROMPT_TOKENS, Label, Strict, Text, Token

MAX_INPUTS: Final = 2048
MAX_TOTAL_TOKENS: Final = 300_000
"""Tokens of all inputs of a request. Both are OpenAI's limits."""
_FLOAT_BYTES: Final = 4


def _one_kind(parts: list[str | int | list[int]]) -> list[str | int | list[int]]:
    """Pydantic validator: one input as token ids, or several inputs that are all text or all token ids."""
    if len({type(part) for part in parts}) > 1:
        raise ValueError("must be the token ids of one input, a list of texts or a list of token id lists")
    if not isinstance(parts[0], int) and len(parts) > MAX_INPUTS:
        raise ValueError(f"at most {MAX_INPUTS} inputs")
    return parts


class EncodingBody(Strict):
    """Fields of both endpoints."""

    model: Label
    input: (
        Text
        | Annotated[
            list[Text | Token | Annotated[list[Token], Field(max_length=MAX_PROMPT_TOKENS, fail_fast=True)]],
            Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True),
            AfterValidator(_one_kind),
        ]
    )
    user: Label | None = None
    """Accepted and ignored, because it does not change the output."""

    @property
    def inputs(self) -> list[str | list[int]]:
        """Each input, as text or as token ids."""
        if isinstance(self.input, str):
            return [self.input]
        tokens = [part for part in self.input if isinstance(part, int)]
        return [tokens] if tokens else [part for part in self.input if not isinstance(part, int)]

    def check_encoder(self, encoder: EncoderInfo) -> None:
        """Raises ApiError for fields that this model cannot honour."""


class EmbeddingBody(EncodingBody):
    """The body of POST /v1/embeddings."""

    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @override
    def check_encoder(self, encoder: EncoderInfo) -> None:
        if self.dimensions is None or self.dimensions == encoder.size:
            return
        allowed = encoder.dimensions
        if self.dimensions > encoder.size:
            raise _invalid_dimensions(f"must be at most {encoder.size}, the size of this model's embeddings")
        if allowed is not None and self.dimensions not in allowed:
            raise _invalid_dimensions(f"must be one of {', '.join(map(str, sorted(allowed)))} for this model")


class ClassifyBody(EncodingBody):
    """The body of POST /v1/classify."""


def check_inputs(inputs: Sequence[Sequence[int]], max_model_len: int, vocab_size: int) -> None:
    """Raises ApiError for inputs that the model cannot process. inputs: token ids."""
    for at, tokens in enumerate(inputs):
        param = f"input.{at}" if len(inputs) > 1 else "input"
        if not tokens:
            raise bad_request(f"{param} has no tokens", param=param, code="invalid_value")
        if len(tokens) > max_model_len:
            raise bad_request(
                f"this model's context is {max_model_len} tokens; {param} has {len(tokens)}",
                param=param, code="context_length_exceeded",
            )  # fmt: skip
        if max(tokens) >= vocab_size:
            raise bad_request(f"{param}: token ids must be below {vocab_size}", param=param, code="invalid_value")
    if (total := sum(map(len, inputs))) > MAX_TOTAL_TOKENS:
        raise bad_request(
            f"input has {total} tokens; the limit of one request is {MAX_TOTAL_TOKENS}", param="input",
            code="invalid_value",
        )  # fmt: skip


def embeddings_response(
    body: EmbeddingBody, vectors: Sequence[bytes], encoder: EncoderInfo, served_name: str, tokens: int
) -> str:
    """OpenAI's list of embeddings, as JSON. vectors: float32 in little-endian order."""
    cut = [_shortened(vector, body.dimensions, encoder) for vector in vectors]
    as_text = body.encoding_format == "base64"
    rows = [
        {"object": "embedding", "index": at, "embedding": base64.b64encode(one).decode() if as_text else _floats(one)}
        for at, one in enumerate(cut)
    ]
    return json.dumps({"object": "list", "data": rows, "model": served_name, "usage": _usage(tokens)})


def classes_response(
    response_id: str, created: int, vectors: Sequence[bytes], encoder: EncoderInfo, served_name: str, tokens: int
) -> str:
    """List of classifications as in vLLM, as JSON. vectors: the probabilities of all labels of each input."""
    rows = []
    for at, vector in enumerate(vectors):
        probabilities = _floats(vector)
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        rows.append(
            {"index": at, "label": encoder.labels[best], "probs": probabilities, "num_classes": len(probabilities)}
        )
    found = {"id": response_id, "object": "list", "created": created, "model": served_name, "data": rows}
    return json.dumps({**found, "usage": _usage(tokens)})


def _shortened(vector: bytes, dimensions: int | None, encoder: EncoderInfo) -> bytes:
    """The first numbers of an embedding, of length 1 again if the model's embeddings are."""
    if dimensions is None or dimensions == encoder.size:
        return vector
    first = _floats(vector[: dimensions * _FLOAT_BYTES])
    length = math.sqrt(sum(number * number for number in first)) if encoder.normalised else 1.0
    shorter = array.array("f", (number / (length or 1.0) for number in first))
    if sys.byteorder == "big":
        shorter.byteswap()
    return shorter.tobytes()


def _floats(vector: bytes) -> list[float]:
    found = array.array("f", vector)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()


def _usage(tokens: int) -> dict[str, Any]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _invalid_dimensions(reason: str) -> ApiError:
    return bad_request(f"dimensions {reason}", param="dimensions", code="invalid_value")
