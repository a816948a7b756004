"""Decode steps of fixed shapes answer as free ones do, are few, and are done without where they fail or do not help."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from chatscale_server.engine.decode_graphs import DecodeGraphs, cuda_recorder, size_for
from chatscale_server.engine.loading import load_model, plan_load, record_decodes
from chatscale_server.engine.model import CacheShape, SlotCache, SlotModel
from chatscale_server.engine.scheduler import Chunk, Sequence
from chatscale_server.settings import Device, Dtype, Settings
from tests.unit.chatscale_server.builders import a_request
from tests.unit.chatscale_server.engine.test_transformers_engine import expected, loaded, requests_of, run
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


def with_graphs(engine, record) -> DecodeGraphs:
    model = engine._model
    model.graphs = DecodeGraphs(model.compute, model.slots, 128, 260, model.device, record)
    return model.graphs


@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_steps_answer_as_generate_does_in_a_busy_batch(models, family, monkeypatch):
    monkeypatch.setattr("chatscale_server.engine.decode_graphs.MIN_COLUMNS", 16)
    engine, _info = loaded(models(family))
    recorder = Recorder()
    with_graphs(engine, recorder)
    requests = requests_of(random.Random(5), 256, 12)
    assert run(engine, requests) == {r.id: expected(models(family), r.prompt, r.max_tokens) for r in requests}
    rows, columns = (1, 2, 4), (16, 32, 64, 128)
    assert 3 < recorder.recorded <= len(rows) * len(columns)
    run(engine, requests)
    assert recorder.recorded <= len(rows) * len(columns)


def test_what_cannot_be_recorded_is_computed_and_not_tried_again(models):
    engine, _info = loaded(models("llama"))
    tried: list[Step] = []

    def fail(step: Step) -> Step:
        tried.append(step)
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = with_graphs(engine, fail)
    requests = requests_of(random.Random(6), 256, 6)
    assert run(engine, requests) == {r.id: expected(models("llama"), r.prompt, r.max_tokens) for r in requests}
    assert (len(tried), graphs.failure) == (1, "operation not permitted when stream is capturing")


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
    times: Iterator[float] = iter(times_s)
    monkeypatch.setattr("chatscale_server.engine.loading.decode_seconds", lambda *_: next(times))
    with caplog.at_level("INFO", "chatscale_server.engine.loading"):
        record_decodes(model, plan, record)
    assert (model.graphs is not None) is (not reason)
    (said,) = [entry for entry in caplog.records if entry.msg == "decode graphs"]
    assert said.used is (not reason)
    assert reason in said.reason


@pytest.mark.parametrize(("wanted", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (9, 12), (12, 12)], ids=str)
def test_sizes_are_powers_of_two_up_to_all_there_is(wanted, size):
    assert size_for(wanted, 1, 12) == size
    assert size_for(wanted, 8, 12) == max(8, size)


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
        cache = SlotCache(shape, 4, 128, dtype=torch.float32, device=device)
        yield SlotModel(network, cache, 4, device, torch.float32)


@pytest.mark.parametrize("family", [*FAMILIES, "mistral"])
def test_nothing_of_a_recorded_step_is_outside_the_gpu(family):
    with on_a_pretended_gpu(family) as model:
        ids = torch.zeros(4, 1, dtype=torch.long, device="cuda")
        with Watch() as watch:
            logits = model.compute(ids, ids - 1, slice(0, 4), 64)
        assert (watch.outside, tuple(logits.shape), logits.device.type) == ([], (4, 260), "cuda")
        with Watch() as watch:
            torch.tensor([1]).to("cuda")
        assert watch.outside


@pytest.mark.parametrize("family", [*FAMILIES, "mistral"])
def test_on_a_gpu_every_tensor_is_where_it_is_needed(family):
    with on_a_pretended_gpu(family) as model:
        first, second = (Sequence(a_request(prompt=size), slot) for size, slot in ((20, 1), (18, 3)))
        found = [
            model.prefill([Chunk(first, 0, 20)]),
            model.prefill([Chunk(first, 0, 20), Chunk(second, 0, 18)]),
            model.decode([1, 2, 3], [5, 6, 7], [20, 3, 18]),
            model.decode([0, 3], [5, 6], [20, 18]),
        ]
        model.cache.copy(1, 2, 10)
        graphs = model.graphs = DecodeGraphs(model.compute, 4, 128, 260, model.device, Recorder())
        found.append(model.decode([1, 2], [5, 6], [20, 3]))
        assert graphs.failure is None
        assert [(tuple(logits.shape), logits.device.type) for logits in found] == [
            ((rows, 260), "cuda") for rows in (1, 2, 3, 2, 2)
        ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: CUDA graphs, recorded and replayed")
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_gpu_the_engine_answers_as_generate_does_with_graphs_and_without(models, family):
    engine, _info = loaded(models(family), device=Device.CUDA)
    requests = requests_of(random.Random(5), 256, 12)
    wanted = {r.id: expected(models(family), r.prompt, r.max_tokens) for r in requests}
    engine._model.graphs = None
    assert run(engine, requests) == wanted
    graphs = with_graphs(engine, cuda_recorder())
    assert run(engine, requests) == wanted
    assert graphs.failure is None
