"""Fused layers with the compiled loops of a CPU answer as transformers does."""

import random

import pytest
import torch
from transformers import AutoModelForCausalLM

from chatscale_server.engine.fused import FAMILIES as FUSED
from chatscale_server.engine.packed import Row
from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from tests.unit.chatscale_server.engine.engine_runs import expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_models import FAMILIES, WINDOW, WINDOWED_FAMILIES, save_model

PROMPT = 8
"""Tokens of a prompt; the others decode."""


def rows_of(ids: list[int]) -> list[Row]:
    return [Row(1, ids[:PROMPT], 0), *(Row(1, [ids[at]], at) for at in range(PROMPT, len(ids)))]


def use_compiled(engine: TransformersEngine) -> None:
    """Of a model that is too small to compile them at its start."""
    decoder, cache = engine._model.decoder, engine._model.cache
    decoder.loops = decoder.compile_loops(cache, cache.max_len)


@pytest.mark.parametrize("family", [*sorted(FUSED & {*FAMILIES, *WINDOWED_FAMILIES}), "llama-yarn"])
def test_float32_answers_equal_generate(tmp_path, family):
    """Alone, in a batch, and beside a prompt longer than a window."""
    folder = save_model(family, tmp_path)
    engine, _info = loaded(folder)
    use_compiled(engine)
    requests = requests_of(random.Random(5), 256, 8)
    long = tuple(random.Random(6).randrange(256) for _ in range(3 * WINDOW))
    requests.append(Request(id="long", prompt=long, max_tokens=20, sampling=Sampling(temperature=0.0)))
    wanted = {request.id: expected(folder, request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted
    assert run(engine, requests[-1:]) == {"long": wanted["long"]}


def test_bfloat16_is_as_close_to_float32_as_transformers_is(tmp_path):
    folder = save_model("qwen3", tmp_path)
    engine, _info = loaded(folder, dtype=Dtype.BFLOAT16)
    use_compiled(engine)
    ids = [random.Random(7).randrange(256) for _ in range(40)]
    ours = torch.cat([
        engine._model.forward((), [row]).logits if row.start == 0 else engine._model.forward([row]).logits
        for row in rows_of(ids)
    ])  # fmt: skip
    exact, theirs = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)(torch.tensor([ids])).logits[0, PROMPT - 1 :].float()
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert (ours - exact).abs().mean() <= 1.1 * (theirs - exact).abs().mean()


@pytest.mark.parametrize("family", ["llama-dynamic", "llama-longrope"])
def test_a_rotary_embedding_that_depends_on_the_length_is_refused(tmp_path, family):
    engine, _info = loaded(save_model(family, tmp_path))
    with pytest.raises(ValueError, match="depends on the length"):
        use_compiled(engine)
