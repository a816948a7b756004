"""The Simulated engine keeps the time of its profile, and always gives the same answer to the same prompt."""

import subprocess
import sys

import pytest

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.profiles import PROFILES, Profile
from chatscale_server.engine.protocol import ChatMessage
from chatscale_server.engine.request import Request
from chatscale_server.engine.simulated import SimulatedEngine
from tests.unit.chatscale_server.builders import a_request, a_scheduler

TEN_MS = Profile(c0_ms=10.0, c1_ms_per_token=0.0, c2_ms_per_token=0.0, c3_ms_per_kv_token=0.0, kv_tokens=1000,
                 tokens_per_step=100)  # fmt: skip


class Clock:
    """Time that only sleeping and the test move."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(round(seconds, 6))
        self.now_s += seconds


@pytest.mark.parametrize(
    ("profile", "tokens", "kv_tokens", "step_ms"),
    [
        pytest.param(SimulatedProfile.LLAMA_8B_A100, 1, 0, 9.724, id="a100-alone"),
        pytest.param(SimulatedProfile.LLAMA_8B_A100, 2048, 0, 145.6128, id="a100-prefill"),
        pytest.param(SimulatedProfile.LLAMA_8B_A100, 1, 100_000, 17.924, id="a100-long-context"),
        pytest.param(SimulatedProfile.LLAMA_8B_H100, 256, 0, 7.48, id="h100"),
        pytest.param(SimulatedProfile.LLAMA_70B_4XH100, 1, 0, 29.4, id="70b-table-start"),
        pytest.param(SimulatedProfile.LLAMA_70B_4XH100, 12, 0, 32.1, id="70b-between"),
        pytest.param(SimulatedProfile.LLAMA_70B_4XH100, 1024, 0, 107.52, id="70b-beyond-table"),
        pytest.param(SimulatedProfile.SMOLLM2_135M_CPU, 1, 129, 24.0347, id="smollm2-alone"),
        pytest.param(SimulatedProfile.SMOLLM2_135M_CPU, 64, 64 * 129, 76.6208, id="smollm2-64"),
    ],
)
def test_step_times_follow_the_profile(profile, tokens, kv_tokens, step_ms):
    assert PROFILES[profile].step_ms(tokens, kv_tokens) == pytest.approx(step_ms)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_replica_says_what_its_profile_s_full_step_computes_in_a_second(profile):
    info = SimulatedEngine(profile).load(lambda _name, _seconds: None)
    assert info.tokens_per_step == profile.tokens_per_step
    assert info.max_tokens_per_second == pytest.approx(
        1000 * profile.tokens_per_step / profile.step_ms(profile.tokens_per_step, 0)
    )


@pytest.mark.parametrize(
    ("slots", "sizes"), [pytest.param(1, [1]), pytest.param(2, [1, 2]), pytest.param(5, [1, 3, 5]),
                         pytest.param(64, [1, 32, 64])],
)  # fmt: skip
def test_a_replica_exports_the_decode_times_of_its_profile_for_one_half_and_all_slots(slots, sizes):
    profile = PROFILES[SimulatedProfile.LLAMA_8B_A10G]
    info = SimulatedEngine(profile, slots=slots).load(lambda _name, _seconds: None)
    assert list(info.decode_step_s) == sizes
    assert info.decode_step_s == {size: profile.step_ms(size, size) / 1000 for size in sizes}


def test_steps_take_their_time_and_a_busy_engine_makes_up_for_delays():
    clock = Clock()
    engine = SimulatedEngine(TEN_MS, startup_s=3.0, clock=clock, sleep=clock.sleep)
    engine.load(lambda _name, _seconds: None)
    scheduler = a_scheduler(2, 1000, 100, 60.0)
    scheduler.submit(a_request(max_tokens=10))
    engine.step(scheduler.plan())
    clock.now_s += 0.004
    engine.step(scheduler.plan())
    clock.now_s += 5.0
    engine.step(scheduler.plan())
    assert clock.slept_s == [3.0, 0.01, 0.006]


def test_a_prefix_that_another_prompt_has_computed_takes_no_time():
    per_token = Profile(c0_ms=0.0, c1_ms_per_token=1.0, c2_ms_per_token=0.0, c3_ms_per_kv_token=0.0, kv_tokens=10_000,
                        tokens_per_step=2000)  # fmt: skip
    clock = Clock()
    engine = SimulatedEngine(per_token, clock=clock, sleep=clock.sleep)
    info = engine.load(lambda _name, _seconds: None)
    scheduler = a_scheduler(2, 10_000, info.tokens_per_step, 60.0, reuse_prefixes=info.reuses_prefixes)
    shared = tuple(range(1500))
    clock.slept_s.clear()
    for at in range(10):
        scheduler.submit(Request(id=str(at), prompt=shared + (2000 + at,) * 50, max_tokens=1))
        plan = scheduler.plan()
        engine.step(plan)
        clock.now_s += 10.0
        scheduler.remove(str(at))
    assert clock.slept_s == [1.55] + [0.05] * 9


def test_the_first_step_after_a_pause_takes_its_whole_time():
    clock = Clock()
    engine = SimulatedEngine(TEN_MS, clock=clock, sleep=clock.sleep)
    scheduler = a_scheduler(2, 1000, 100, 60.0)
    scheduler.submit(a_request())
    engine.step(scheduler.plan())
    assert clock.slept_s == [0.01]


def test_tokens_read_as_customer_service_and_repeat_for_the_same_prompt():
    engine = SimulatedEngine(TEN_MS)
    scheduler = a_scheduler(1, 1000, 100, 60.0)
    answers = []
    for _ in range(2):
        scheduler.submit(a_request(prompt=10, max_tokens=6))
        words = []
        decoder = engine.decoder()
        for _ in range(6):
            plan = scheduler.plan()
            words.append(decoder.push(engine.step(plan)[0]))
            scheduler.running[0].append(0)
        scheduler.remove("r")
        answers.append("".join(words))
    assert answers[0] == answers[1] == "Thank you for reaching out, I "


def test_prompt_tokens_are_pieces_of_four_letters():
    engine = SimulatedEngine(TEN_MS)
    assert len(engine.encode("Where is my order?")) == len(["Wher", "e", "is", "my", "orde", "r", "?"])
    assert len(engine.encode_chat([ChatMessage("user", "hi"), ChatMessage("user", "")])) == 4 + 1 + 4 + 1


def test_runs_without_torch_and_transformers():
    program = """
import sys, chatscale_server.http.serve, chatscale_server.engine.factory as factory
from chatscale_server.settings import read_settings
factory.build_engine(read_settings({"CHATSCALE_ENGINE": "Simulated"}))
print(sorted({"torch", "transformers", "numpy", "huggingface_hub"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_a_setting_the_profile_chooses_the_slots():
    profile = PROFILES[SimulatedProfile.LLAMA_8B_A10G]
    info = SimulatedEngine(profile, slots=None, tpot_s=0.1).load(lambda _name, _seconds: None)
    assert info.slots == 64
    assert list(info.decode_step_s) == [1, 32, 64]
