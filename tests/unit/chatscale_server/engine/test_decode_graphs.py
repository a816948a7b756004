"""Decode steps of fixed shapes answer as free ones do, are few, and are done without where they fail or do not help."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from chatscale_server.engine.decode_graphs import DecodeGraphs, cuda_recorder, size_for
from chatscale_server.engine.loading import load_model, plan_load, record_decodes
from chatscale_server.settings import Device, Dtype, Settings
from tests.unit.chatscale_server.engine.test_transformers_engine import expected, loaded, requests_of, run
from tests.unit.chatscale_server.tiny_models import FAMILIES, save_model

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
        pytest.param(lambda step: step, (2.0, 2.0), "no faster", id="no-faster"),
        pytest.param(broken, (2.0, 1.0), "no graphs here", id="fails"),
        pytest.param(stale, (2.0, 1.0), "does not reproduce a plain forward pass", id="answers-differently"),
    ],
)
def test_graphs_are_kept_only_where_they_answer_alike_and_faster(models, record, times_s, reason, monkeypatch, caplog):
    settings = Settings(model_uri=f"file://{models('llama')}", served_name="m", max_concurrency=4, dtype=Dtype.FLOAT32)
    plan = plan_load(models("llama"), settings)
    model = load_model(plan, 4)
    times: Iterator[float] = iter(times_s)
    monkeypatch.setattr("chatscale_server.engine.loading._decode_seconds", lambda _model: next(times))
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
