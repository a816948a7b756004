"""Whether a model uses the compiled loops: results must stay the same, and a decode step must not be much slower."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from chatscale_server.engine.fused import FusedDecoder
from chatscale_server.engine.loading import LoadPlan, load_model, plan_load
from chatscale_server.engine.model import SlotModel
from chatscale_server.engine.warm_up import LOOP_HIDDEN, use_loops
from tests.support.clock import FakeClock
from tests.unit.chatscale_server.engine.engine_runs import SETTINGS, loaded
from tests.unit.chatscale_server.tiny_models import CONTEXT, END, a_tokenizer

IDS = list(range(24))


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    """A model of the smallest width whose loops are compiled."""
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(1)
    config = LlamaConfig(
        hidden_size=LOOP_HIDDEN, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=260,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, bos_token_id=None, eos_token_id=END, pad_token_id=END,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    a_tokenizer().save_pretrained(folder)
    return folder


class Decoder:
    """Fused layers whose loops compute nothing. Each step takes a given time on the clock."""

    def __init__(self, inner: FusedDecoder, clock: FakeClock, loops_s: float, torch_s: float) -> None:
        self.inner, self.clock, self.loops_s, self.torch_s = inner, clock, loops_s, torch_s
        self.loops: object | None = None
        self.steps: list[bool] = []
        self.wrong = False
        self.problem: Exception | None = None

    def compile_loops(self, _kv: object, _max_len: int) -> object:
        self.clock.advance(4)
        if self.problem is not None:
            raise self.problem
        return object()

    def forward(self, batch: Any, kv: Any) -> torch.Tensor:
        used = self.loops is not None
        self.steps.append(used)
        self.clock.advance(self.loops_s if used else self.torch_s)
        return self.inner.forward(batch, kv) + (1.0 if used and self.wrong else 0.0)


def a_case(folder: Path, loops_s: float, torch_s: float) -> tuple[SlotModel, LoadPlan, Decoder, FakeClock]:
    plan = plan_load(folder, SETTINGS.model_copy(update={"model_uri": f"file://{folder}"}))
    model, clock = load_model(plan), FakeClock()
    decoder: Any = Decoder(FusedDecoder(model.network, plan.max_model_len), clock, loops_s, torch_s)
    model.decoder = decoder
    return model, plan, decoder, clock


def choose(case: tuple[SlotModel, LoadPlan, Decoder, FakeClock]) -> None:
    model, plan, _decoder, clock = case
    with torch.inference_mode():
        expected = model.network(torch.tensor([IDS])).logits[0, -1]
    use_loops(model, plan, IDS, expected, clock.monotonic)


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    names = ("used", "times_as_fast", "compile_s", "reason")
    return [
        {name: vars(record)[name] for name in names if name in vars(record)}
        for record in caplog.records
        if record.message == "compiled loops"
    ]


@pytest.mark.parametrize(
    ("loops_s", "torch_s", "used", "times"),
    [
        pytest.param(0.25, 0.5, True, 2.0, id="faster"),
        pytest.param(0.5, 0.40625, True, 0.81, id="slower, but perhaps by the load of the machine"),
        pytest.param(0.5, 0.375, False, 0.75, id="slower"),
    ],
)
def test_loops_are_used_unless_they_are_clearly_slower(wide, caplog, loops_s, torch_s, used, times):
    caplog.set_level(logging.INFO)
    case = a_case(wide, loops_s, torch_s)
    choose(case)
    assert (case[2].loops is not None) == used
    assert logged(caplog) == [{"used": used, "times_as_fast": times, "compile_s": 4.0}]


@pytest.mark.parametrize(
    ("step_s", "probes"),
    [pytest.param(0.0625, 8, id="for at least a second"), pytest.param(4.0, 2, id="at least twice")],
)
def test_steps_with_and_without_loops_are_measured_in_turn(wide, step_s, probes):
    case = a_case(wide, step_s, step_s)
    choose(case)
    steps = case[2].steps
    checked = len(steps) - 2 * probes
    assert all(steps[:checked])
    assert steps[checked:] == [True, False] * probes


def test_one_slow_step_does_not_decide(wide):
    case = a_case(wide, 0.125, 0.125)
    decoder, clock = case[2], case[3]
    plain = clock.advance

    def slow_at_first(seconds: float):
        first = decoder.loops is not None and False not in decoder.steps
        return plain(100 * seconds if first else seconds)

    clock.advance = slow_at_first
    choose(case)
    assert decoder.loops is not None


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(OSError("torch uses no OpenMP library"), id="no OpenMP"),
        pytest.param(NotImplementedError("no such instruction"), id="an error of numba"),
        pytest.param(MemoryError("no memory for the code"), id="no memory"),
    ],
)
def test_a_model_whose_loops_do_not_compile_works_without_them(wide, caplog, problem):
    caplog.set_level(logging.INFO)
    case = a_case(wide, 0.25, 0.25)
    case[2].problem = problem
    choose(case)
    assert case[2].loops is None
    assert logged(caplog) == [{"used": False, "reason": str(problem)}]


def test_loops_with_other_results_are_not_used(wide, caplog):
    caplog.set_level(logging.INFO)
    case = a_case(wide, 0.25, 0.25)
    case[2].wrong = True
    choose(case)
    assert case[2].loops is None
    ((found),) = logged(caplog)
    assert found["used"] is False
    assert "does not reproduce a plain forward pass" in str(found["reason"])


def test_a_server_without_numba_serves(wide, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    for name in ("cpu", "cpu_loops"):
        monkeypatch.delitem(sys.modules, f"chatscale_server.engine.kernels.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    engine, _info = loaded(wide)
    assert engine._model.decoder.loops is None
    ((found),) = logged(caplog)
    assert found["used"] is False
    assert "numba" in str(found["reason"])


def test_a_start_reports_that_it_compiles_before_it_does(wide, caplog):
    """It takes 4 to 17 s, in which nothing else is logged."""
    caplog.set_level(logging.INFO)
    case = a_case(wide, 0.25, 0.25)
    choose(case)
    assert [record.message for record in caplog.records if "loops" in record.message] == [
        "compiling loops", "compiled loops",
    ]  # fmt: skip
