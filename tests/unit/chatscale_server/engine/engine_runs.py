"""Runs of a real engine, and the output of `generate` to compare with."""

import random
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype, Settings
from tests.unit.chatscale_server.builders import a_scheduler

SETTINGS = Settings(served_name="m", dtype=Dtype.FLOAT32, max_concurrency=4)


TOKENS = 24


def loaded(folder: Path, **changes: object):
    engine = TransformersEngine(SETTINGS.model_copy(update={"model_uri": f"file://{folder}", **changes}))
    return engine, engine.load(lambda _name, _seconds: None)


def run(
    engine: TransformersEngine,
    requests: list[Request],
    *,
    slots: int = 4,
    tokens_per_step: int = 20,
    reuse_prefixes: bool = True,
):
    """All tokens of all requests; a new one comes in with every step, as on a busy day."""
    cache = engine._model.cache
    scheduler = a_scheduler(
        slots, cache.capacity_tokens if cache.pages else 100_000, tokens_per_step, 1e9,
        page_tokens=cache.page_tokens if cache.pages else None, reuse_prefixes=reuse_prefixes,
    )  # fmt: skip
    coming, answers = list(requests), {request.id: [] for request in requests}
    while coming or scheduler.running or scheduler.waiting:
        if coming:
            scheduler.submit(coming.pop(0))
        plan = scheduler.plan()
        engine.prepare(plan)
        tokens = engine.step(plan)
        for sequence in (*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)):
            answers[sequence.request.id].append(tokens[sequence.slot])
            sequence.append(tokens[sequence.slot])
            if sequence.generated == sequence.request.max_tokens:
                scheduler.remove(sequence.request.id)
    return answers


def expected(folder: Path, prompt: tuple[int, ...], max_tokens: int, *, use_cache: bool = True) -> list[int]:
    """What `generate` says, end token disabled on both sides."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([prompt])
    out = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, do_sample=False,
                           eos_token_id=None, pad_token_id=0, use_cache=use_cache)  # fmt: skip
    return out[0, len(prompt) :].tolist()


def requests_of(rng: random.Random, vocab: int, count: int) -> list[Request]:
    return [
        Request(
            id=str(at),
            prompt=tuple(rng.randrange(vocab) for _ in range(rng.choice((1, 2, 7, 19, 20, 21, 60)))),
            max_tokens=rng.randrange(1, TOKENS),
            sampling=Sampling(temperature=0.0),
        )
        for at in range(count)
    ]
