from hypothesis import given
from hypothesis import strategies as st

from chatscale_simulator.policies.windows import INSTANT_S, WindowedMax, WindowedMean, WindowedMin

STEPS = st.lists(
    st.tuples(st.floats(0.5, 40), st.integers(0, 50)),
    min_size=1,
    max_size=60,
)


@given(STEPS, st.floats(0, 100))
def test_windows_agree_with_looking_at_every_value_again(steps, window_s):
    largest, smallest, mean = WindowedMax(window_s), WindowedMin(window_s), WindowedMean(window_s)
    now_s, put = 0.0, []
    for gap_s, value in steps:
        now_s += gap_s
        put.append((now_s, value))
        young = [v for t, v in put if t > now_s - window_s + INSTANT_S] or [value]
        assert largest.put(now_s, value) == max(young)
        assert smallest.put(now_s, value) == min(young)
        assert abs(mean.put(now_s, value) - sum(young) / len(young)) < 1e-9


def test_a_clock_that_adds_up_its_periods_does_not_move_the_edge():
    counts, now_s = WindowedMean(300), 7.1
    first_s = now_s
    while now_s < 86_400:
        counts.put(now_s, 1.0)
        assert len(counts._kept) == min(20, round((now_s - first_s) / 15) + 1)
        now_s += 15.0
