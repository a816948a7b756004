"""Fused layers with the compiled loops of a CPU answer as transformers does."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from chatscale_server.engine.fused import FAMILIES as FUSED
from chatscale_server.engine.packed import Row
from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from hack.paths import ROOT
from tests.unit.chatscale_server.engine.engine_runs import expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_models import FAMILIES, WINDOW, WINDOWED_FAMILIES, save_model

PROMPT = 8
"""Tokens of a prompt; the others decode."""
PROMPTS = 20
"""The errors of two prompts differ by up to a factor of 2."""


def use_compiled(engine: TransformersEngine) -> None:
    """Of a model that is too small to compile them at its start."""
    decoder, cache = engine._model.decoder, engine._model.cache
    decoder.loops = decoder.compile_loops(cache, cache.max_len)


FUSED_FAMILIES = [family for family in (*FAMILIES, *WINDOWED_FAMILIES) if family.split("_")[0] in FUSED]


@pytest.mark.parametrize("family", [*FUSED_FAMILIES, "llama-yarn"])
def test_float32_answers_equal_generate(tmp_path, family):
    """Alone, in a batch, and beside a prompt longer than a window."""
    folder = save_model(family, tmp_path)
    engine, _info = loaded(folder)
    use_compiled(engine)
    requests = requests_of(random.Random(5), 256, 8)
    long = tuple(random.Random(6).choices(range(256), k=3 * WINDOW))
    requests.append(Request(id="long", prompt=long, max_tokens=20, sampling=Sampling(temperature=0.0)))
    wanted = {request.id: expected(folder, request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted
    assert run(engine, requests[-1:]) == {"long": wanted["long"]}


def logits_of(engine: TransformersEngine, prompts: list[list[int]], alone: int) -> torch.Tensor:
    """(prompts, tokens from the last one of PROMPT on, vocab).

    Each prompt is computed alone, and so are the tokens before `alone`. The others decode in one batch.
    """
    model = engine._model
    found = [model.forward((), [Row(slot, ids[:PROMPT], 0)]).logits for slot, ids in enumerate(prompts)]
    steps = [torch.cat(found)]
    for at in range(PROMPT, len(prompts[0])):
        rows = [Row(slot, [ids[at]], at) for slot, ids in enumerate(prompts)]
        if at < alone:
            steps.append(torch.cat([model.forward([row]).logits for row in rows]))
        else:
            steps.append(model.forward(rows).logits)
    return torch.stack(steps, 1)


def errors(engine: TransformersEngine, folder: Path, prompts: list[list[int]], alone: int) -> tuple[float, float]:
    """Mean difference of bfloat16 logits from those of float32, of the engine and of transformers' forward."""
    with torch.inference_mode():
        exact, theirs = (
            torch.cat([network(torch.tensor([ids])).logits[:, PROMPT - 1 :].float() for ids in prompts])
            for network in (
                AutoModelForCausalLM.from_pretrained(folder, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)
            )
        )
    ours = logits_of(engine, prompts, alone)
    return float((ours - exact).abs().mean()), float((theirs - exact).abs().mean())


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_bfloat16_is_as_close_to_float32_as_transformers_is(tmp_path, family):
    folder = save_model(family, tmp_path)
    engine, _info = loaded(folder, dtype=Dtype.BFLOAT16, max_concurrency=PROMPTS)
    use_compiled(engine)
    rng = random.Random(7)
    ours, theirs = errors(engine, folder, [rng.choices(range(256), k=40) for _ in range(PROMPTS)], alone=20)
    assert ours <= theirs


def test_bfloat16_of_a_real_model_is_as_close_to_float32_as_transformers_is(smollm2):
    engine, _info = loaded(smollm2, dtype=Dtype.BFLOAT16, max_model_len=256, max_concurrency=PROMPTS)
    use_compiled(engine)
    ids = engine.encode((ROOT / "README.md").read_text())
    tokens = 2 * PROMPT
    starts = range(0, len(ids) - tokens, (len(ids) - tokens) // PROMPTS)
    ours, theirs = errors(engine, smollm2, [ids[at : at + tokens] for at in starts[:PROMPTS]], alone=PROMPT + 2)
    assert ours <= theirs


@pytest.mark.parametrize("family", ["llama-dynamic", "llama-longrope"])
def test_a_rotary_embedding_that_depends_on_the_length_is_refused(tmp_path, family):
    engine, _info = loaded(save_model(family, tmp_path))
    with pytest.raises(ValueError, match="depends on the length"):
        use_compiled(engine)
