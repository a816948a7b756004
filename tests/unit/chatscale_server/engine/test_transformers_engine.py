"""float32 greedy answers equal `generate` token for token, alone and in a busy batch; unfit models are refused."""

import json
import os
import random
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from chatscale_contract.server.metrics import decode_batch_sizes
from chatscale_server.engine.kv_cache import CacheShape, KvCache
from chatscale_server.engine.linears import LinearPart, pack_linears
from chatscale_server.engine.loading import load_model, plan_load
from chatscale_server.engine.protocol import ChatMessage, PromptError
from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.step_isolation import run_isolated, without, yielding
from chatscale_server.engine.transformers_engine import full_step
from chatscale_server.engine.warm_up import warm_up
from chatscale_server.errors import StartupError
from tests.unit.chatscale_server.builders import a_scheduler
from tests.unit.chatscale_server.engine.engine_runs import SETTINGS, expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_models import END, FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_equal_generate_alone_and_in_a_busy_batch(models, family):
    engine, info = loaded(models(family))
    assert (info.max_model_len, info.kv_capacity_tokens, END in info.end_tokens) == (128, 512, True)
    requests = requests_of(random.Random(5), 256, 12)
    wanted = {request.id: expected(models(family), request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted
    assert run(engine, requests[:1]) == {"0": wanted["0"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_from_pages_equal_generate_and_follow_the_tokens_in_use(models, family):
    """A cache of 160 tokens for requests of up to 83: sequences are paused, and prefixes share pages."""
    engine, _info = loaded(models(family))
    model = engine._model
    model.cache = KvCache(
        model.cache.shape, model.slots, 128, dtype=model.dtype, device=model.device, pages=41, page_tokens=4
    )
    requests = requests_of(random.Random(5), 256, 12)
    wanted = {request.id: expected(models(family), request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted
    system = tuple(random.Random(6).choices(range(256), k=50))
    common = [Request(id=str(at), prompt=(*system, at), max_tokens=6, sampling=Sampling(temperature=0.0))
              for at in range(6)]  # fmt: skip
    assert run(engine, common) == {r.id: expected(models(family), r.prompt, 6) for r in common}


@pytest.mark.parametrize("family", FAMILIES)
def test_output_with_packed_weights_equals_generate(models, family):
    engine, _info = loaded(models(family))
    plan = plan_load(models(family), SETTINGS.model_copy(update={"model_uri": f"file://{models(family)}"}))
    everything = partial(pack_linears, pays=lambda _weight, _rows: True)
    engine._model = warm_up(load_model(plan), plan, everything)
    shared = [layer for layer in engine._model.network.modules() if isinstance(layer, LinearPart)]
    assert bool(shared) == (family != "gpt2")
    requests = requests_of(random.Random(7), 256, 6)
    assert run(engine, requests) == {r.id: expected(models(family), r.prompt, r.max_tokens) for r in requests}


def test_weights_that_cannot_be_packed_stay_as_they_are(models, caplog):
    settings = SETTINGS.model_copy(update={"model_uri": f"file://{models('llama')}"})
    plan = plan_load(models("llama"), settings)

    def half(network: Any, *_: Any) -> int:
        network.lm_head = None
        raise RuntimeError("no such operator")

    def wrong(network: Any, *_: Any) -> int:
        network.lm_head.weight.data += 1
        return 1

    for spoil, reason in ((half, "no such operator"), (wrong, "does not reproduce a plain forward pass")):
        caplog.clear()
        model = warm_up(load_model(plan), plan, spoil)
        assert [reason in record.reason for record in caplog.records] == [True]
        assert torch.equal(model.network.lm_head.weight, load_model(plan).network.lm_head.weight)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_empty_cache_takes_no_memory_and_is_zero():
    before = resident_bytes()
    cache = KvCache(
        CacheShape(layers=4, kv_heads=8, head_dim=64), 8, 8192, dtype=torch.bfloat16, device=torch.device("cpu")
    )
    assert sum(block.nbytes for block in (*cache.keys, *cache.values)) == 2**29
    assert resident_bytes() - before < 2**26
    assert not any(block[-9:].any() for block in (*cache.keys, *cache.values))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_copied_from_another_prompt_answers_as_if_computed(models, family):
    """Equal prompts, an instruction in common, a conversation that goes on; alone and in a busy batch."""
    engine, _info = loaded(models(family))
    rng, greedy = random.Random(6), Sampling(temperature=0.0)
    system = tuple(rng.randrange(256) for _ in range(50))
    prompts = [system + tuple(rng.randrange(256) for _ in range(rng.choice((0, 1, 5, 20)))) for _ in range(8)]
    prompts += [prompts[0]] * 3
    requests = [Request(id=str(at), prompt=prompt, max_tokens=6, sampling=greedy) for at, prompt in enumerate(prompts)]
    wanted = {request.id: expected(models(family), request.prompt, 6) for request in requests}
    assert run(engine, requests) == wanted
    assert run(engine, requests, reuse_prefixes=False) == wanted
    said = prompts[1] + tuple(wanted["1"])
    turn = Request(id="turn", prompt=(*said, 9), max_tokens=6, sampling=greedy)
    assert run(engine, [requests[1], turn], slots=1)["turn"] == expected(models(family), turn.prompt, 6)


def test_a_replica_measures_a_decode_step_with_one_half_and_all_slots(models):
    engine, info = loaded(models("llama"))
    slots = engine._model.slots
    assert list(info.decode_step_s) == list(decode_batch_sizes(slots))
    assert all(0 < step_s < 10 for step_s in info.decode_step_s.values())


def test_a_replica_measures_what_a_full_step_computes_in_a_second(models):
    engine, info = loaded(models("llama"))
    assert 0 < info.max_tokens_per_second < float("inf")
    now_s, wanted = iter((0.0, 9.0, 10.0, 10.5, 20.0, 21.0)), []
    engine._clock, engine.step = lambda: next(now_s), wanted.append
    assert engine._measure_rate(300, 128) == 300 / 0.5
    assert wanted == [wanted[0]] * 3


@pytest.mark.parametrize(
    ("tokens", "slots", "sizes"),
    [
        pytest.param(64, 4, [64], id="one-prompt"),
        pytest.param(300, 4, [127, 127, 46], id="as-few-slots-as-hold-them"),
        pytest.param(300, 2, [127, 127], id="no-more-than-the-slots-hold"),
    ],
)
def test_a_full_step_reads_prompts_that_fit(tokens, slots, sizes):
    plan = full_step(tokens, slots, 128, 16)
    assert [(chunk.sequence.slot, chunk.start, chunk.end, chunk.last) for chunk in plan.chunks] == [
        (slot, 0, size, True) for slot, size in enumerate(sizes)
    ]
    assert plan.started == tuple(chunk.sequence for chunk in plan.chunks)


def test_smollm2_answers_equal_generate_in_a_batch(smollm2):
    engine, _info = loaded(smollm2, max_model_len=256, max_concurrency=4)
    questions = ("Where is my order?", "How do I return a pair of shoes that are too small?", "Hi", "Is it open today?")
    requests = [
        Request(id=question, prompt=tuple(engine.encode_chat([ChatMessage("user", question)])), max_tokens=12,
                sampling=Sampling(temperature=0.0))
        for question in questions
    ]  # fmt: skip
    assert run(engine, requests) == {r.id: expected(smollm2, r.prompt, r.max_tokens) for r in requests}


def test_a_sampled_neighbour_does_not_change_a_greedy_answer(models):
    engine, _info = loaded(models("llama"))
    greedy = Request(id="greedy", prompt=(1, 2, 3), max_tokens=10, sampling=Sampling(temperature=0.0))
    wild = Request(id="wild", prompt=(9, 8, 7), max_tokens=10, sampling=Sampling(temperature=2.0, seed=3, top_k=50))
    together, alone = run(engine, [greedy, wild]), run(engine, [wild])
    assert together["greedy"] == expected(models("llama"), (1, 2, 3), 10)
    assert together["wild"] == alone["wild"]


def test_a_request_that_breaks_its_batch_changes_no_token_of_its_neighbours(models):
    """Sampled tokens too: a step that is repeated draws no random number twice."""
    engine, info = loaded(models("llama"))
    seeded = Sampling(temperature=1.5, seed=3, presence_penalty=1.0)
    neighbours = [Request(id=name, prompt=(at, 2, 3), max_tokens=12, sampling=replace(seeded, seed=at))
                  for at, name in enumerate("abc")]  # fmt: skip
    bad = Request(id="bad", prompt=(5, 6), max_tokens=9, sampling=Sampling(logit_bias=((10**6, 5.0),)))
    alone = {request.id: run(engine, [request])[request.id] for request in neighbours}

    outputs: dict[str, list[int]] = {request.id: [] for request in neighbours}
    failed: list[str] = []
    scheduler = a_scheduler(4, info.kv_capacity_tokens, 20, 1e9)
    for request in (*neighbours[:2], bad, neighbours[2]):
        scheduler.submit(request)
    while scheduler.running or scheduler.waiting:
        plan = scheduler.plan()
        engine.prepare(plan)
        outcome = run_isolated(engine.step, plan)
        for sequence in outcome.failed:
            failed.append(sequence.request.id)
            scheduler.fail(sequence.request.id)
        for sequence in yielding(without(plan, outcome.failed)):
            outputs[sequence.request.id].append(outcome.tokens[sequence.slot])
            sequence.append(outcome.tokens[sequence.slot])
            if sequence.generated == sequence.request.max_tokens:
                scheduler.remove(sequence.request.id)
    assert (outputs, failed) == (alone, ["bad"])


def test_a_prompt_with_a_long_gap_of_free_slots_decodes_right(models):
    """One sequence in the last slot only: the batch is gathered instead of cut."""
    engine, _info = loaded(models("llama"))
    greedy = Sampling(temperature=0.0)
    lengths = (6, 6, 6, 20)
    requests = [Request(id=str(at), prompt=(at + 1, 5), max_tokens=n, sampling=greedy) for at, n in enumerate(lengths)]
    assert run(engine, requests)["3"] == expected(models("llama"), (4, 5), 20)


def test_a_bias_applies_in_every_batch_shape(models):
    """Alone in the last slot too, where the model's output comes without a copy."""
    engine, _info = loaded(models("llama"))
    lengths = (6, 6, 6, 20)
    rule = Sampling(temperature=0.0, logit_bias=((7, 100.0),))
    requests = [Request(id=str(at), prompt=(at + 1, 5), max_tokens=n, sampling=rule) for at, n in enumerate(lengths)]
    assert run(engine, requests) == {str(at): [7] * n for at, n in enumerate(lengths)}


def test_tokenized_text_decodes_to_itself(models):
    engine, _info = loaded(models("llama"))
    text = "Größe 42, bitte € 🙂"
    decoder = engine.decoder()
    assert "".join(decoder.push(token) for token in engine.encode(text)) == text


def test_chats_use_the_plain_template_unless_one_is_given(models):
    messages = [ChatMessage("user", "hi")]
    plain, _info = loaded(models("gpt2"))
    own, _info = loaded(models("gpt2"), chat_template="{% for m in messages %}[{{ m.content }}]{% endfor %}")
    strict, _info = loaded(models("gpt2"), chat_template="{{ raise_exception('no system role') }}")
    assert plain.encode_chat(messages) == plain.encode("user: hi\nassistant:")
    assert own.encode_chat(messages) == own.encode("[hi]")
    with pytest.raises(PromptError, match="no system role"):
        strict.encode_chat(messages)
    clumsy, _info = loaded(models("gpt2"), chat_template="{{ 1 + messages[0].content }}")
    with pytest.raises(PromptError, match="unsupported operand"):
        clumsy.encode_chat(messages)
    with pytest.raises(
        StartupError, match="CHATSCALE_CHAT_TEMPLATE is not valid Jinja: line 1: Expected an expression"
    ):
        loaded(models("gpt2"), chat_template="{% if %}")


def test_of_several_chat_templates_the_default_is_taken(models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(models("gpt2"), folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    engine, _info = loaded(folder)
    assert engine.encode_chat([ChatMessage("user", "hi")]) == engine.encode("yes")
