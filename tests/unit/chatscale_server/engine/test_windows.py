"""Sliding windows shorter than the context, soft caps and sinks are computed as transformers computes them."""

import random

import pytest

from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.request import Request, Sampling
from tests.unit.chatscale_server.engine.engine_runs import expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_models import WINDOW, WINDOWED_FAMILIES, save_model


@pytest.mark.parametrize("family", WINDOWED_FAMILIES)
def test_a_family_with_windows_answers_as_generate_does(tmp_path, family):
    """Alone, in a batch, beside a long neighbour, and from pages."""
    folder = save_model(family, tmp_path)
    engine, info = loaded(folder)
    assert info.max_model_len > WINDOW
    requests = requests_of(random.Random(5), 256, 8)
    long = tuple(random.Random(6).choices(range(256), k=3 * WINDOW))
    requests.append(Request(id="long", prompt=long, max_tokens=20, sampling=Sampling(temperature=0.0)))
    wanted = {request.id: expected(folder, request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted
    assert run(engine, requests[-1:]) == {"long": wanted["long"]}
    model = engine._model
    model.cache = KvCache(
        model.cache.shape, model.slots, 128, dtype=model.dtype, device=model.device, pages=61, page_tokens=4
    )
    assert run(engine, requests) == wanted


def test_a_family_without_windows_ignores_one_in_its_configuration(tmp_path):
    """As the forward pass of transformers does. Its cache does not: `generate` then forgets tokens of the prompt."""
    folder = save_model("llama_windowed", tmp_path)
    engine, _info = loaded(folder)
    prompt = tuple(random.Random(6).choices(range(256), k=3 * WINDOW))
    request = Request(id="long", prompt=prompt, max_tokens=20, sampling=Sampling(temperature=0.0))
    assert run(engine, [request]) == {"long": expected(folder, prompt, 20, use_cache=False)}
