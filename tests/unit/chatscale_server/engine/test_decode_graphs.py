"""Decode steps of fixed shapes answer as free ones do, are few, and are done without where they fail or do not help."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from chatscale_server.engine.decode_graphs import DecodeGraphs, graph_sizes
from chatscale_server.engine.kv_cache import CacheShape, KvCache
from chatscale_server.engine.loading import load_model, plan_load
from chatscale_server.engine.model import SlotModel
from chatscale_server.engine.packed import Row
from chatscale_server.engine.step_isolation import yielding
from chatscale_server.engine.warm_up import record_decodes
from chatscale_server.settings import Device, Dtype, Settings
from tests.unit.chatscale_server.builders import a_scheduler
from tests.unit.chatscale_server.engine.engine_runs import expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_models import FAMILIES, a_network, save_model

Step = Callable[[], None]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("models")
    return lambda family: root / family if (root / family).exists() else save_model(family, root / family)


class Recorder:
    """As CUDA records: the step runs while it is recorded, and repeats with what is in its places then."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, step: Step) -> Step:
        self.recorded += 1
        step()
        return step


def in_pages(engine, record) -> DecodeGraphs:
    """Give the engine a cache in pages and recorded steps, as on a GPU."""
    model = engine._model
    model.cache = KvCache(
        model.cache.shape, model.slots, 128, dtype=model.dtype, device=model.device, pages=81, page_tokens=8
    )
    graphs = model.graphs = DecodeGraphs(partial(computed, model), model.slots, 260, model.device)
    graphs.record(record)
    return graphs


def computed(model: SlotModel, ids: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """A recorded step without the attention kernel of a GPU: the rows are read from the table."""
    table = [*model.cache.table.tolist()]
    rows = [
        Row(slot, [token], position, table[slot])
        for token, position, slot in zip(ids.tolist(), positions.tolist(), slots.tolist(), strict=True)
    ]
    return model._run(model._pack(rows, ()))


@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_steps_answer_as_generate_does_in_a_busy_batch(models, family):
    """Decode steps that were started ahead of their plan too."""
    engine, _info = loaded(models(family))
    recorder = Recorder()
    graphs = in_pages(engine, recorder)
    requests = requests_of(random.Random(5), 256, 12)
    assert run(engine, requests) == {r.id: expected(models(family), r.prompt, r.max_tokens) for r in requests}
    assert (graphs.sizes, recorder.recorded) == ([1, 2, 4], 3)


def test_a_step_that_was_started_ahead_is_used_only_for_its_own_sequences(models):
    """Requests end, are cancelled and fail between two steps."""
    engine, _info = loaded(models("llama"))
    in_pages(engine, Recorder())
    cache = engine._model.cache
    scheduler = a_scheduler(4, cache.capacity_tokens, 64, page_tokens=cache.page_tokens, reuse_prefixes=True)
    rng = random.Random(8)
    requests = {request.id: request for request in requests_of(rng, 256, 16)}
    answers: dict[str, list[int]] = {name: [] for name in requests}
    coming, cancelled = list(requests.values()), set()
    while coming or scheduler.running or scheduler.waiting:
        if coming and rng.random() < 0.7:
            scheduler.submit(coming.pop(0))
        if scheduler.running and rng.random() < 0.2:
            victim = rng.choice(scheduler.running).request.id
            cancelled.add(victim)
            (scheduler.remove if rng.random() < 0.5 else scheduler.fail)(victim)
        plan = scheduler.plan()
        engine.prepare(plan)
        tokens = engine.step(plan)
        for sequence in yielding(plan):
            answers[sequence.request.id].append(tokens[sequence.slot])
            sequence.append(tokens[sequence.slot])
            if sequence.generated == sequence.request.max_tokens:
                scheduler.remove(sequence.request.id)
    for name, request in requests.items():
        wanted = expected(models("llama"), request.prompt, request.max_tokens)
        assert answers[name] == wanted[: len(answers[name])]
        assert name in cancelled or answers[name] == wanted


def broken(_step: Step) -> Step:
    raise RuntimeError("no graphs here")


def stale(step: Step) -> Step:
    """Repeats nothing: the logits stay those of the first time."""
    step()
    return lambda: None


@pytest.mark.parametrize(
    ("record", "times_s", "reason"),
    [
        pytest.param(lambda step: step, (2.0, 1.0), "", id="faster"),
        pytest.param(lambda step: step, (2.0, 2.0), "not faster", id="no-faster"),
        pytest.param(broken, (2.0, 1.0), "no graphs here", id="fails"),
        pytest.param(stale, (2.0, 1.0), "does not reproduce a plain forward pass", id="answers-differently"),
    ],
)
def test_graphs_are_kept_only_where_they_answer_alike_and_faster(models, record, times_s, reason, monkeypatch, caplog):
    settings = Settings(model_uri=f"file://{models('llama')}", served_name="m", max_concurrency=4, dtype=Dtype.FLOAT32)
    plan = plan_load(models("llama"), settings)
    model = load_model(plan)
    monkeypatch.setattr(SlotModel, "compute", computed)
    model.cache = KvCache(plan.shape, 4, 128, dtype=model.dtype, device=model.device, pages=81, page_tokens=8)
    times: Iterator[float] = iter(times_s)
    monkeypatch.setattr("chatscale_server.engine.warm_up.decode_seconds", lambda *_: next(times))
    with caplog.at_level("INFO", "chatscale_server.engine.warm_up"):
        record_decodes(model, plan, record)
    assert (model.graphs is not None) is (not reason)
    (said,) = [entry for entry in caplog.records if entry.msg == "decode graphs"]
    assert said.used is (not reason)
    assert reason in said.reason


def test_few_sizes_are_recorded_up_to_the_number_of_slots():
    assert graph_sizes(1) == [1]
    assert graph_sizes(6) == [1, 2, 4, 6]
    assert graph_sizes(70) == [1, 2, 4, 8, 16, 32, 48, 64, 70]
    assert len(graph_sizes(256)) == 20


class Watch(TorchDispatchMode):
    """Notes each operation that touches a tensor outside the GPU, or waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, found)) if isinstance(one, torch.Tensor)]
        if any(one.device.type != "cuda" for one in tensors) or "_local_scalar_dense" in str(function):
            self.outside.append(str(function))
        return found


@contextmanager
def on_a_pretended_gpu(family: str) -> Iterator[SlotModel]:
    """Tensors that have a shape and a device, and nothing in them: torch checks both as on a real GPU."""
    device = torch.device("cuda")
    with FakeTensorMode():
        with device:
            network = a_network(family, seeded=False).eval()
        config = network.config
        heads = config.num_attention_heads
        shape = CacheShape(
            config.num_hidden_layers,
            getattr(config, "num_key_value_heads", None) or heads,
            getattr(config, "head_dim", None) or config.hidden_size // heads,
        )
        cache = KvCache(shape, 4, 128, dtype=torch.float32, device=device, pages=20, page_tokens=16)
        yield SlotModel(network, cache, 4, device, torch.float32)


@pytest.mark.parametrize("family", [*FAMILIES, "mistral"])
def test_nothing_of_a_recorded_step_is_outside_the_gpu(family, monkeypatch):
    """All but the attention kernel, which has no pretended form."""
    monkeypatch.setattr("chatscale_server.engine.attention.kernels_fit", lambda *_: True)
    monkeypatch.setattr("chatscale_server.engine.attention._decode_on_gpu", lambda *_: None)
    with on_a_pretended_gpu(family) as model:
        ids = torch.zeros(4, dtype=torch.long, device="cuda")
        with Watch() as watch:
            logits = model.compute(ids, ids, ids)
        assert (watch.outside, tuple(logits.shape), logits.device.type) == ([], (4, 260), "cuda")
        with Watch() as watch:
            torch.tensor([1]).to("cuda")
        assert watch.outside


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: CUDA graphs, recorded and replayed")
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_gpu_the_engine_answers_as_generate_does_with_graphs_and_without(models, family):
    engine, _info = loaded(models(family), device=Device.CUDA)
    requests = requests_of(random.Random(5), 256, 12)
    wanted = {r.id: expected(models(family), r.prompt, r.max_tokens) for r in requests}
    assert engine._model.graphs is not None
    assert run(engine, requests) == wanted
    engine._model.graphs = None
    assert run(engine, requests) == wanted
