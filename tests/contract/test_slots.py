"""How many slots a server takes if its settings name none."""

from collections.abc import Callable

import pytest

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_contract.server.slots import MAX_SLOTS, choose_slots, profile_slots, slots_in_memory


class Machine:
    """A machine whose decode steps take base_s plus each_s for each sequence."""

    def __init__(self, base_s: float, each_s: float) -> None:
        self._base_s, self._each_s = base_s, each_s
        self.now_s = 0.0

    def step_s(self, size: int) -> float:
        took_s = self._base_s + size * self._each_s
        self.now_s += took_s
        return took_s

    def choose(self, tpot_s: float = 0.1, most: int = MAX_SLOTS) -> int:
        return choose_slots(self.step_s, tpot_s, most, clock=lambda: self.now_s)


@pytest.mark.parametrize(
    ("base_ms", "each_ms", "most", "slots"),
    [
        pytest.param(24, 1.36, MAX_SLOTS, 32, id="64 sequences are too slow"),
        pytest.param(24, 1.36, 12, 12, id="memory holds 12"),
        pytest.param(10, 0.05, MAX_SLOTS, MAX_SLOTS, id="a fast machine takes the maximum"),
        pytest.param(62, 3, MAX_SLOTS, 8, id="16 sequences are too slow"),
        pytest.param(300, 10, MAX_SLOTS, 8, id="fewer than 8 are hardly faster"),
        pytest.param(300, 10, 3, 3, id="memory holds 3"),
        pytest.param(24, 1.36, 1, 1, id="memory holds 1"),
    ],
)
def test_the_batch_is_the_largest_that_keeps_the_objective(
    base_ms: float, each_ms: float, most: int, slots: int
) -> None:
    assert Machine(base_ms / 1000, each_ms / 1000).choose(most=most) == slots


def test_a_start_measures_for_a_second_at_most() -> None:
    machine = Machine(0.4, 0.0)

    assert machine.choose(tpot_s=1.0) == 32
    assert machine.now_s <= 1.0


def test_a_step_that_was_disturbed_once_is_measured_again() -> None:
    disturbed = iter([0.2, 0.02, 0.2, 0.2])

    assert choose_slots(lambda _: next(disturbed), 0.1, MAX_SLOTS, clock=lambda: 0.0) == 16


@pytest.mark.parametrize(
    ("kv_tokens", "slots"), [(-5, 0), (0, 0), (1023, 0), (7 * 1024, 7), (23 * 1024, 16), (10**9, MAX_SLOTS)]
)
def test_memory_bounds_the_slots(kv_tokens: int, slots: int) -> None:
    assert slots_in_memory(kv_tokens, 1024) == slots


@pytest.mark.parametrize(
    ("profile", "slots"),
    [
        (SimulatedProfile.LLAMA_8B_A100, 256),
        (SimulatedProfile.LLAMA_8B_H100, 256),
        (SimulatedProfile.LLAMA_8B_A10G, 64),
        (SimulatedProfile.LLAMA_70B_4XH100, 256),
        (SimulatedProfile.SMOLLM2_135M_CPU, 32),
    ],
)
def test_each_profile_has_its_number(profile: SimulatedProfile, slots: int) -> None:
    assert profile_slots(PROFILES[profile], tpot_s=0.1) == slots


def test_a_stricter_objective_takes_fewer_slots() -> None:
    by_objective: Callable[[float], int] = lambda tpot_s: profile_slots(  # noqa: E731
        PROFILES[SimulatedProfile.SMOLLM2_135M_CPU], tpot_s
    )

    assert [by_objective(tpot_s) for tpot_s in (0.05, 0.1, 0.2)] == [8, 32, 64]
