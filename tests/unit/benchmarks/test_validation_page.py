"""The validation page: errors the right way round, and a slow machine told apart from a wrong simulator."""

from pathlib import Path

import numpy as np
import pytest

from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.simulator_validation.capacity import Capacity
from tests.benchmarks.simulator_validation.page import page
from tests.benchmarks.simulator_validation.recorded import Compared, Waits, scenes


def compared(pace: float) -> Compared:
    """Three requests that were recorded at 100 ms and simulated at 80 ms."""
    ones = np.ones(3)
    return Compared(
        scene=scenes(Path("model"), 10.0)[0],
        workload=Workload(np.arange(3.0), np.full(3, 50), np.full(3, 20)),
        recorded=Waits(0.1 * ones, 0.02 * ones),
        simulated=Waits(0.08 * ones, 0.02 * ones),
        at_pace=Waits(0.11 * ones, 0.03 * ones),
        pace=pace,
        warm_up=1.2,
        late_p99_s=0.002,
        load_before=0.5,
        busy=0.25,
    )


def test_an_error_is_the_simulators_number_over_the_recorded_one():
    text = page([compared(pace=1.0)], [], [])
    assert "| first token, median | 100.0 ms | 80.0 ms | -20.0 ms | -20% |\n" in text
    assert "| time per token, 99 % | 20.0 ms | 20.0 ms | +0.0 ms | +0% |\n" in text


def test_a_slow_machine_is_shown_in_columns_of_its_own():
    text = page([compared(pace=1.5)], [], [])
    assert "Its pace: 1.50 times as slow as the profile; 1.20 times in its warm-up, before the recording." in text
    assert "| first token, median | 100.0 ms | 80.0 ms | -20.0 ms | -20% | 110.0 ms | +10% |\n" in text


@pytest.mark.parametrize(("found_rps", "off"), [(2.2, "+10%"), (1.5, "-25%")])
def test_a_capacity_is_told_beside_the_notes(found_rps: float, off: str):
    text = page([], [Capacity("a mix", "an SLO", "8B A100", 2.0, found_rps)], [("CPU", "one")])
    assert f"| a mix | an SLO | 8B A100 | 2 | {found_rps:g} | {off} |" in text
    assert "| CPU | one |" in text
