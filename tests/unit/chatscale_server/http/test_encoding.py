"""The official client gets embeddings, and vLLM's classes, from real encoders; limits and metrics are exact."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import torch

from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from chatscale.observe.exposition import read_series
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, WorkCounters
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import Metric, RejectReason, SloObjective
from chatscale_server.engine.encoding import EncoderInfo, Task
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.http.encoding_schema import MAX_TOTAL_TOKENS, check_inputs
from chatscale_server.http.serve import Server
from chatscale_server.settings import Dtype
from tests.support.replicas import Operator, a_spec, at
from tests.unit.chatscale_server.builders import FAST, SETTINGS, Gate, a_server, chat, eventually
from tests.unit.chatscale_server.engine.test_encoder import vectors
from tests.unit.chatscale_server.http.test_server import gauges
from tests.unit.chatscale_server.tiny_encoders import LABELS, SIZE, save_encoder
from tests.unit.chatscale_server.tiny_models import CONTEXT

TEXTS = ["Where is my order?", "Hello", "a" * CONTEXT]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("models") / "bert", "bert")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("models") / "xlm", "xlm-roberta", "classify")


def an_engine(folder: Path) -> TransformersEngine:
    return TransformersEngine(SETTINGS.model_copy(update={"model_uri": f"file://{folder}", "dtype": Dtype.FLOAT32}))


@asynccontextmanager
async def serving(folder: Path, **changes: object) -> AsyncIterator[tuple[Server, openai.AsyncOpenAI, Any]]:
    engine = an_engine(folder)
    async with a_server(engine, **changes) as (server, client):
        url = f"http://127.0.0.1:{server.port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="-", max_retries=0) as official:
            yield server, official, client


class GatedEncoder(SimulatedEngine):
    """Vectors of two numbers: the input's length and 1. Each batch waits for the gate."""

    def __init__(self) -> None:
        super().__init__(FAST)
        self.gate = Gate()

    def load(self, phase) -> ModelInfo:
        phase("load", 0.0)
        return ModelInfo(
            max_model_len=64, kv_capacity_tokens=64, tokens_per_step=64, max_tokens_per_second=1000.0, vocab_size=256,
            end_tokens=frozenset(), slots=2, encoder=EncoderInfo(task=Task.EMBED, size=2),
        )  # fmt: skip

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        self.gate.wait(0)
        return [struct.pack("<2f", len(tokens), 1.0) for tokens in inputs]


async def post(client: aiohttp.ClientSession, path: str, **body: object) -> tuple[int, Any]:
    async with client.post(path, json={"model": "m", **body}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("form", [None, "float", "base64"])
async def test_the_official_client_gets_the_engines_vectors_in_order(embedder, form):
    options = {} if form is None else {"encoding_format": form}
    async with serving(embedder) as (server, client, _raw):
        engine = server.worker.engine
        answer = await client.embeddings.create(model="m", input=TEXTS, **options)
        tokens = [engine.encode(text) for text in TEXTS]
        wanted = vectors(engine, tokens)
    rows = [row.embedding for row in answer.data]
    if form == "base64":
        rows = [struct.unpack(f"<{SIZE}f", base64.b64decode(row)) for row in rows]
    torch.testing.assert_close(torch.tensor(rows), wanted, rtol=0, atol=1e-6)
    assert [(row.index, row.object) for row in answer.data] == [(0, "embedding"), (1, "embedding"), (2, "embedding")]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(map(len, tokens))
    assert (answer.object, answer.model) == ("list", "m")


async def test_token_ids_mean_the_same_as_their_text(embedder):
    async with serving(embedder) as (server, client, _raw):
        ids = [server.worker.engine.encode(text) for text in TEXTS]
        forms = (TEXTS, ids, TEXTS[0], ids[0])
        answers = [(await client.embeddings.create(model="m", input=form)).data for form in forms]
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert answers[2][0].embedding == pytest.approx(answers[0][0].embedding, abs=1e-6)


async def test_dimensions_shorten_an_embedding_to_length_one(embedder):
    async with serving(embedder) as (_server, client, _raw):
        full, short = [
            (await client.embeddings.create(model="m", input="Hello", dimensions=size)).data[0].embedding
            for size in (SIZE, 8)
        ]
    first = torch.tensor(full[:8])
    assert short == pytest.approx((first / first.norm()).tolist(), abs=1e-6)


async def test_a_checkpoint_that_names_its_dimensions_accepts_no_others(tmp_path):
    folder = save_encoder(tmp_path, "bert", matryoshka_dimensions=[8, 16])
    async with serving(folder) as (_server, _client, raw):
        assert (await post(raw, "/v1/embeddings", input="a", dimensions=16))[0] == 200
        status, body = await post(raw, "/v1/embeddings", input="a", dimensions=9)
    assert (status, body["error"]["param"]) == (400, "dimensions")
    assert body["error"]["message"] == "dimensions must be one of 8, 16 for this model"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        pytest.param({"input": "a" * (CONTEXT + 1)}, "input", "context_length_exceeded", id="too-long"),
        pytest.param({"input": ["a", "a" * (CONTEXT + 1)]}, "input.1", "context_length_exceeded", id="second-too-long"),
        pytest.param({"input": [[1], []]}, "input.1", "invalid_value", id="no-tokens"),
        pytest.param({"input": [10**6]}, "input", "invalid_value", id="unknown-token"),
        pytest.param({"input": []}, "input", "invalid_value", id="no-inputs"),
        pytest.param({"input": ["a", 1]}, "input", "invalid_value", id="mixed"),
        pytest.param({"input": ["a"] * 2049}, "input", "invalid_value", id="too-many"),
        pytest.param({}, "input", "missing_required_parameter", id="missing"),
        pytest.param({"input": "a", "dimensions": SIZE + 1}, "dimensions", "invalid_value", id="too-many-dimensions"),
        pytest.param({"input": "a", "encoding_format": "hex"}, "encoding_format", "unsupported_value", id="format"),
        pytest.param({"input": "a", "truncate": True}, "truncate", "unsupported_parameter", id="unknown-field"),
        pytest.param({"input": "a", "model": "other"}, "model", "model_not_found", id="other-model"),
    ],
)
async def test_an_input_that_cannot_be_honoured_is_rejected_by_its_field(embedder, fields, param, code):
    async with serving(embedder) as (server, _client, raw):
        status, body = await post(raw, "/v1/embeddings", **fields)
        too_long = server.bridge.counts.rejected[RejectReason.TOO_LONG]
    assert (status, body["error"]["param"], body["error"]["code"]) == (404 if param == "model" else 400, param, code)
    assert too_long == (code == "context_length_exceeded")


async def test_a_request_has_up_to_2048_inputs_and_300000_tokens():
    engine = GatedEncoder()
    engine.gate.open()
    async with a_server(engine) as (_server, client):
        status, body = await post(client, "/v1/embeddings", input=["a"] * 2048)
        assert (status, len(body["data"])) == (200, 2048)
    inputs = [[1] * 200] * (MAX_TOTAL_TOKENS // 200 + 1)
    with pytest.raises(ApiError, match=r"input has 300200 tokens; the limit of one request is 300000"):
        check_inputs(inputs, max_model_len=256, vocab_size=10)


async def test_classes_have_the_shape_of_vllm(classifier):
    async with serving(classifier) as (server, _client, raw):
        status, body = await post(raw, "/v1/classify", input=TEXTS)
        engine = server.worker.engine
        wanted = vectors(engine, [engine.encode(text) for text in TEXTS])
    assert (status, body["object"], body["model"]) == (200, "list", "m")
    assert body["id"].startswith("classify-")
    for at_, row in enumerate(body["data"]):
        assert (row["index"], row["num_classes"]) == (at_, len(LABELS))
        assert row["probs"] == pytest.approx(wanted[at_].tolist(), abs=1e-6)
        assert row["label"] == LABELS[int(wanted[at_].argmax())]
        assert sum(row["probs"]) == pytest.approx(1)


async def test_a_path_that_does_not_suit_the_model_is_rejected_with_the_paths_that_do(embedder, classifier):
    found = {}
    async with serving(embedder) as (_server, _client, raw):
        for path, body in (("/v1/chat/completions", chat()), ("/v1/completions", {"prompt": "a"})):
            found[path] = await post(raw, path, **body)
        found["/v1/classify"] = await post(raw, "/v1/classify", input="a")
    for status, body in found.values():
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "unsupported_endpoint", "model")
        assert body["error"]["message"] == 'the model "m" is for embeddings; it serves /v1/embeddings'
    async with serving(classifier) as (_server, _client, raw):
        _status, body = await post(raw, "/v1/embeddings", input="a")
    assert body["error"]["message"] == 'the model "m" is for classification; it serves /v1/classify'
    async with a_server() as (_server, raw):
        _status, body = await post(raw, "/v1/embeddings", input="a")
    paths = "/v1/chat/completions and /v1/completions"
    assert body["error"]["message"] == f'the model "m" is for generation; it serves {paths}'


async def test_the_tokenizer_and_the_model_list_work_as_for_generation(embedder):
    async with serving(embedder) as (_server, client, raw):
        _status, body = await post(raw, "/tokenize", prompt="Hello")
        (model,) = (await client.models.list()).data
    assert (body["count"], body["max_model_len"], model.id) == (5, CONTEXT, "m")


async def test_counters_equal_the_usage_and_scaling_reads_them(embedder):
    async with serving(embedder) as (server, client, raw):
        used = [(await client.embeddings.create(model="m", input=text)).usage.prompt_tokens for text in (*TEXTS, TEXTS)]
        found = await gauges(raw)
        async with raw.get("/metrics") as response:
            text = await response.text()
        info = server.bridge.info
    assert info is not None
    assert {name: found[name] for name in (
        Metric.PROMPT_TOKENS_TOTAL, Metric.GENERATED_TOKENS_TOTAL, f"{Metric.TIME_TO_FIRST_TOKEN_SECONDS}_count",
        f"{Metric.REQUEST_DURATION_SECONDS}_count", f"{Metric.TIME_PER_OUTPUT_TOKEN_SECONDS}_count",
        Metric.MAX_TOKENS_PER_SECOND, Metric.MAX_TOKENS_PER_STEP,
    )} == {
        Metric.PROMPT_TOKENS_TOTAL: sum(used),
        Metric.GENERATED_TOKENS_TOTAL: 0,
        f"{Metric.TIME_TO_FIRST_TOKEN_SECONDS}_count": len(used),
        f"{Metric.REQUEST_DURATION_SECONDS}_count": len(used),
        f"{Metric.TIME_PER_OUTPUT_TOKEN_SECONDS}_count": 0,
        Metric.MAX_TOKENS_PER_SECOND: info.max_tokens_per_second,
        Metric.MAX_TOKENS_PER_STEP: info.tokens_per_step,
    }  # fmt: skip
    sample = CHATSCALE_SERVER.to_sample(read_series(text, CHATSCALE_SERVER.names), at(0))
    assert sample.slots == SETTINGS.max_concurrency
    assert sample.work == WorkCounters(
        max_tokens_per_second=info.max_tokens_per_second, prompt_tokens=sum(used), generated_tokens=0,
        finished=len(used), slo_misses=0, max_tokens_per_step=info.tokens_per_step,
    )  # fmt: skip


async def test_late_embeddings_are_slo_misses(embedder):
    async with serving(embedder, slo_ttft_milliseconds=0) as (server, client, _raw):
        assert server.bridge.info is not None
        server.bridge.info = faster(server.bridge.info)
        await client.embeddings.create(model="m", input="Hello")
        assert server.bridge.counts.slo_misses == {SloObjective.TTFT: 1, SloObjective.TPOT: 0}


def faster(info: ModelInfo) -> ModelInfo:
    """With an infinite speed, so that a request is allowed no time of its own."""
    return replace(info, max_tokens_per_second=1e12)


async def test_the_queue_is_bounded_and_a_full_replica_reports_its_load():
    engine = GatedEncoder()
    async with a_server(engine, max_concurrency=2, max_queue=1) as (server, client):
        waiting = [asyncio.ensure_future(post(client, "/v1/embeddings", input=["a" * 40] * 4)) for _ in range(3)]
        await eventually(lambda: server.bridge.in_flight == 3)
        status, body = await post(client, "/v1/embeddings", input="b")
        assert (status, body["error"]["code"]) == (429, "queue_full")
        engine.gate.step()  # the first batch was planned before the other requests came
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 2)
        async with client.get("/load") as response:
            load = await response.json()
        assert (load["running"], load["waiting"], load["slots"], load["prefill_tokens_per_second"]) == (2, 1, 2, 1000.0)
        engine.gate.open()
        results = await asyncio.gather(*waiting)
        engine.gate.open()
    assert [(status, len(body["data"])) for status, body in results] == [(200, 4)] * 3


async def test_a_client_that_leaves_frees_its_slot():
    engine = GatedEncoder()
    async with a_server(engine, max_concurrency=1, max_queue=4) as (server, client):
        leaver = asyncio.ensure_future(post(client, "/v1/embeddings", input=["a" * 40] * 50))
        await eventually(lambda: server.bridge.state(draining=False).requests_running == 1)
        leaver.cancel()
        await eventually(lambda: server.bridge.counts.client_disconnects == 1)
        engine.gate.open()
        await eventually(lambda: server.bridge.in_flight == 0)
        assert (await post(client, "/v1/embeddings", input="b"))[0] == 200
    assert server.bridge.counts.rejected[RejectReason.CANCELLED] == 1


async def test_a_drain_waits_for_embeddings():
    engine = GatedEncoder()
    async with a_server(engine) as (server, client):
        request = asyncio.ensure_future(post(client, "/v1/embeddings", input="b"))
        await eventually(lambda: server.bridge.in_flight == 1)
        drained = asyncio.ensure_future(server.lifecycle.drain())
        await eventually(lambda: server.lifecycle.leaving)
        engine.gate.open()
        assert (await request)[0] == 200
        await drained


def test_the_policy_adds_replicas_for_an_embedding_model_as_for_a_chat_model():
    """A replica of 1000 tokens/s gets 200 requests of 20 tokens each second: four replicas' work."""
    operator = Operator(spec=a_spec(metrics=[]))
    for seconds in range(0, 180, 5):
        count = operator.replicas
        replicas = [
            Replica(f"r{at_}", ReplicaPhase.READY, at(-3600), replica_sample(seconds, 200 * seconds / count))
            for at_ in range(count)
        ]
        operator.sees(Observation(at(seconds), tuple(replicas)))
    assert 4 <= operator.replicas <= 8


def replica_sample(seconds: float, finished: float):
    text = "\n".join(
        f"{name} {value}"
        for name, value in {
            "inference_queue_depth": 0, "inference_requests_running": 3, "inference_slots": 64,
            "inference_kv_cache_usage_ratio": 0, "inference_max_tokens_per_second": 1000,
            "inference_max_tokens_per_step": 256, "inference_prompt_tokens_total": 20 * finished,
            "inference_generated_tokens_total": 0, 'inference_requests_total{finish_reason="stop"}': finished,
            'inference_slo_misses_total{objective="ttft"}': 0,
        }.items()
    )  # fmt: skip
    return CHATSCALE_SERVER.to_sample(read_series(text + "\n", CHATSCALE_SERVER.names), at(seconds))
