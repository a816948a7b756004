"""OpenAI's client gets embeddings from a real encoder through the gateway, on real sockets; all three count the same.

The kind of a model comes from its checkpoint. A ChatModel has no field for it.
"""

import asyncio

import openai
import pytest

from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from chatscale.observe.exposition import read_series
from chatscale_contract.server.load import ReplicaLoad
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from tests.support.replicas import at
from tests.unit.chatscale_server.builders import SETTINGS, a_server
from tests.unit.chatscale_server.tiny_encoders import SIZE, save_encoder
from tests.unit.gateway.http.fakes import Pod, a_gateway

REQUESTS = 20


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
async def test_an_embedding_model_is_served_and_counted_behind_the_gateway(tmp_path, family):
    folder = save_encoder(tmp_path, family)
    settings = SETTINGS.model_copy(update={"model_uri": f"file://{folder}", "dtype": Dtype.FLOAT32})
    async with a_server(TransformersEngine(settings), served_name="tiny", max_queue=64) as (server, replica):
        async with replica.get("/load") as response:
            load = ReplicaLoad.from_json(await response.json())
        async with a_gateway(Pod(port=server.port)) as world:
            client = openai.AsyncOpenAI(base_url=f"{world.url}/v1", api_key="-", max_retries=0)
            calls = [
                client.embeddings.create(model="tiny", input=["Hello", "x" * at_]) for at_ in range(1, REQUESTS + 1)
            ]
            answers = await asyncio.gather(*calls)
            await client.close()
            demand = world.demand()
        async with replica.get("/metrics") as response:
            exposition = await response.text()
    used = sum(answer.usage.prompt_tokens for answer in answers)
    sample = CHATSCALE_SERVER.to_sample(read_series(exposition, CHATSCALE_SERVER.names), at(0))
    assert {len(row.embedding) for answer in answers for row in answer.data} == {SIZE}
    assert (demand.in_flight, demand.finished, demand.prompt_tokens) == (0, REQUESTS, used)
    assert sample.work is not None
    assert (sample.work.finished, sample.work.prompt_tokens, sample.work.generated_tokens) == (REQUESTS, used, 0)
    assert (load.slots, load.running, load.waiting) == (settings.max_concurrency, 0, 0)
    assert load.prefill_tokens_per_second == pytest.approx(sample.work.max_tokens_per_second)
