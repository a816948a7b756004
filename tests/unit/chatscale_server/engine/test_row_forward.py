"""A family without transformers' attention interface answers through its own forward pass, as `generate` does."""

import json
import random

import pytest

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.loading import plan_load
from chatscale_server.engine.network_forward import cache_argument
from chatscale_server.engine.request import Request, Sampling
from chatscale_server.errors import StartupError
from chatscale_server.settings import Dtype, Settings
from tests.unit.chatscale_server.engine.engine_runs import expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_row_models import ROW_FAMILIES, save_row_model


@pytest.mark.parametrize("family", ROW_FAMILIES)
def test_a_family_with_its_own_attention_answers_as_generate_does(tmp_path, family):
    """Alone, in a batch, beside a long neighbour, and from pages."""
    folder = save_row_model(family, tmp_path)
    engine, info = loaded(folder)
    assert info.max_model_len == 128
    requests = requests_of(random.Random(5), 256, 8)
    long = tuple(random.Random(6).choices(range(256), k=96))
    requests.append(Request(id="long", prompt=long, max_tokens=20, sampling=Sampling(temperature=0.0)))
    wanted = {request.id: expected(folder, request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted
    assert run(engine, requests[-1:]) == {"long": wanted["long"]}
    model = engine._model
    model.cache = KvCache(
        model.cache.shape, model.slots, 128, dtype=model.dtype, device=model.device, pages=61, page_tokens=4
    )
    assert run(engine, requests) == wanted


@pytest.mark.parametrize(("family", "kv_heads"), [("falcon-7b", 1), ("falcon-40b", 4), ("falcon-rw", 4)])
def test_the_memory_of_the_cache_follows_the_keys_that_the_family_stores(tmp_path, family, kv_heads):
    folder = save_row_model(family, tmp_path)
    plan = plan_load(folder, Settings(model_uri=f"file://{folder}", served_name="m", dtype=Dtype.FLOAT32))
    assert (plan.shape.layers, plan.shape.kv_heads, plan.shape.head_dim) == (2, kv_heads, 8)


def test_a_model_without_a_context_length_needs_the_setting(tmp_path):
    folder = save_row_model("bloom", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["seq_length"]
    (folder / "config.json").write_text(json.dumps(config))
    settings = Settings(model_uri=f"file://{folder}", served_name="m", dtype=Dtype.FLOAT32)
    with pytest.raises(StartupError, match="bloom names no context length: set CHATSCALE_MAX_MODEL_LEN") as caught:
        plan_load(folder, settings)
    assert caught.value.code == ExitCode.BAD_SETTINGS
    assert plan_load(folder, settings.model_copy(update={"max_model_len": 64})).max_model_len == 64


def test_the_cache_is_passed_under_the_name_that_this_version_of_transformers_has():
    def new(input_ids, cache=None): ...

    def old(input_ids, past_key_values=None): ...

    def none(input_ids): ...

    assert [cache_argument(one) for one in (new, old, none)] == ["cache", "past_key_values", None]
