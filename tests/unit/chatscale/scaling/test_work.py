"""Work in replicas: what is counted, and what is not taken for work."""

from collections.abc import Sequence

import pytest

from chatscale.scaling.signals import Replica
from chatscale.scaling.totals import Totals
from chatscale.scaling.tuning import LOAD_WINDOW
from chatscale.scaling.work import Work, count_work, sizes_of
from tests.support.replicas import at
from tests.support.workers import Fleet, Worker


def counted(*observations: tuple[float, Sequence[Replica]]) -> Work:
    work = Work()
    for seconds, replicas in observations:
        work = count_work(work, replicas, at(seconds))
    return work


def steady(requests_per_s: float, count: int = 1, ticks: int = 20) -> Work:
    fleet, work = Fleet(count), Work()
    for _ in range(ticks):
        seen = fleet.after(15, requests_per_s)
        work = count_work(work, seen.replicas, seen.taken_at)
    return work


def test_the_load_is_request_rate_times_length_over_token_rate() -> None:
    work = steady(16)

    assert work.load(at(300)) == pytest.approx(16 * 1000 / 8000, rel=0.01)
    assert (work.prompt_tokens, work.generated_tokens) == (pytest.approx(900), pytest.approx(100))


def test_the_load_does_not_depend_on_the_number_of_replicas() -> None:
    assert steady(16, count=8).load(at(300)) == pytest.approx(steady(16, count=2).load(at(300)))


def test_work_before_the_first_observation_does_not_count() -> None:
    old = Worker("old", finished=1_000_000)
    first = old.replica(0)
    old.serves(15)

    before = counted((0, [first]))
    after = counted((0, [first]), (15, [old.replica(15)]))

    assert not before.is_known
    assert after.modelled_load(at(15), LOAD_WINDOW) == pytest.approx(1.0 * 1000 / 8000, rel=0.05)


def test_all_work_of_a_new_replica_counts() -> None:
    old, new = Worker("old"), Worker("new", since=10)
    first = [old.replica(0), old.replica(0)]
    new.serves(20)

    work = counted((0, first), (20, [old.replica(20), new.replica(20)]))

    assert work.growth.requests == 20


def test_a_new_replica_that_takes_all_requests_for_a_moment_does_not_double_the_load() -> None:
    old, new = Worker("old"), Worker("new", since=58)
    work = Work()
    for seconds in range(0, 60, 15):
        old.serves(15)
        work = count_work(work, [old.replica(seconds)], at(seconds))
    old.serves(13)
    new.serves(2)
    joined = count_work(work, [old.replica(58), new.replica(60)], at(60))

    assert joined.modelled_load(at(60), LOAD_WINDOW) == pytest.approx(work.modelled_load(at(45), LOAD_WINDOW), rel=0.05)


def test_counters_reset_by_a_container_restart_count_from_zero() -> None:
    before = Totals(requests=100, started=100, finished=100, prompt_tokens=9000, generated_tokens=900, misses=5)
    after = Totals(requests=3, started=3, finished=2, prompt_tokens=300, generated_tokens=30)

    assert after.since(before) == after


def test_the_same_sample_twice_counts_once() -> None:
    worker = Worker("w")
    first = worker.replica(0)
    worker.serves(30)
    second = worker.replica(15)

    once = counted((0, [first]), (15, [second]))
    twice = counted((0, [first]), (15, [second]), (20, [second]))

    assert twice == once


def test_stale_samples_do_not_lower_the_load_and_new_ones_do_not_spike_it() -> None:
    """Prometheus lost three scrapes: the last samples are young enough to be read, and tell of nothing since."""
    worker, work = Worker("w"), Work()
    for tick in range(5):
        worker.serves(15)
        last = worker.replica(tick * 15)
        work = count_work(work, [last], at(tick * 15))
    steady_load = work.modelled_load(at(60), LOAD_WINDOW)
    for seconds in (75, 90, 105):
        worker.serves(15)
        work = count_work(work, [last], at(seconds))
        assert work.modelled_load(at(seconds), LOAD_WINDOW) == pytest.approx(steady_load)
    worker.serves(15)
    work = count_work(work, [worker.replica(120)], at(120))

    assert work.modelled_load(at(120), LOAD_WINDOW) == pytest.approx(steady_load, rel=0.02)


def test_a_long_outage_does_not_outweigh_the_samples_after_it() -> None:
    fleet, work = Fleet(1), Work()
    for span, requests_per_s in ((15, 1.0), (15, 1.0), (600, 1.0), (15, 4.0), (15, 4.0)):
        seen = fleet.after(span, requests_per_s)
        work = count_work(work, seen.replicas, seen.taken_at)

    assert work.modelled_load(at(660), LOAD_WINDOW) == pytest.approx(2.5 * 1000 / 8000, rel=0.05)


def test_a_new_replica_counts_while_all_others_are_unread() -> None:
    silent, new = Worker("silent"), Worker("new", since=12)
    work = counted((0, [silent.replica(0)]), (15, [silent.replica(15)]))
    for seconds in range(30, 120, 15):
        new.serves(15 * 4)
        work = count_work(work, [new.replica(seconds)], at(seconds), unread=["silent"])

    assert work.modelled_load(at(105), LOAD_WINDOW) >= 4.0 * 1000 / 8000


def test_a_pod_that_was_unready_for_a_moment_does_not_add_its_old_work() -> None:
    steady, blinking = Worker("steady", finished=500_000), Worker("blinking", finished=500_000)
    work = counted((0, [steady.replica(0), blinking.replica(0)]))
    for seconds in (15, 30, 45):
        steady.serves(15)
        blinking.serves(15)
        if seconds == 30:
            work = count_work(work, [steady.replica(seconds)], at(seconds), not_ready=["blinking"])
            blinking.since = 35
        else:
            work = count_work(work, [steady.replica(seconds), blinking.replica(seconds)], at(seconds))

    assert work.modelled_load(at(45), LOAD_WINDOW) == pytest.approx(2.0 * 1000 / 8000, rel=0.5)


def test_a_pod_first_observed_while_unready_does_not_add_its_old_work() -> None:
    """The operator started while it was not ready."""
    steady, blinking = Worker("steady"), Worker("blinking", finished=500_000, since=20)
    first = [steady.replica(0)]
    steady.serves(30)

    work = counted((0, first), (30, [steady.replica(30), blinking.replica(30)]))

    assert work.growth.requests == 30


def test_each_replica_is_counted_over_the_time_between_its_own_scrapes() -> None:
    """Half of them were scraped anew: the new samples cover half of the seconds."""
    first, second = Worker("a"), Worker("b")
    work = counted((0, [first.replica(0), second.replica(0)]))
    for worker in (first, second):
        worker.serves(15)
    old = second.replica(0)
    half = count_work(work, [first.replica(15), old], at(15))
    for worker in (first, second):
        worker.serves(15)
    whole = count_work(half, [first.replica(30), second.replica(30)], at(30))

    assert half.modelled_load(at(15), LOAD_WINDOW) == pytest.approx(2.0 * 1000 / 8000, rel=0.05)
    assert whole.modelled_load(at(30), LOAD_WINDOW) == pytest.approx(2.0 * 1000 / 8000, rel=0.05)


def test_an_unread_replica_is_counted_from_its_last_sample() -> None:
    first, second = Worker("a"), Worker("b")
    work = counted((0, [first.replica(0), second.replica(0)]))
    for worker in (first, second):
        worker.serves(15)
    blind = count_work(work, [first.replica(15)], at(15), unread=["b"])
    for worker in (first, second):
        worker.serves(15)
    again = count_work(blind, [first.replica(30), second.replica(30)], at(30))

    assert again.growth.requests == 45
    assert again.modelled_load(at(30), LOAD_WINDOW) == pytest.approx(2.0 * 1000 / 8000, rel=0.05)


def test_slots_that_an_overload_fills_are_not_load() -> None:
    worker, work = Worker("w"), Work()
    for tick in range(20):
        worker.serves(15 * 8)
        work = count_work(work, [worker.replica(tick * 15, running=64, waiting=200)], at(tick * 15))

    assert work.load(at(285)) == pytest.approx(8 * 1000 / 8000, rel=0.05)


def test_kv_cache_use_is_the_load_where_it_is_the_bottleneck() -> None:
    worker, work = Worker("w"), Work()
    for tick in range(20):
        worker.serves(15)
        work = count_work(work, [worker.replica(tick * 15, running=4, kv=0.8)], at(tick * 15))

    assert work.load(at(285)) == pytest.approx(0.8, rel=0.05)
    assert work.bottleneck_factor == pytest.approx(0.8 / (1000 / 8000), rel=0.1)


def test_the_backlog_is_in_seconds_of_one_replica() -> None:
    worker = Worker("w")
    first = worker.replica(0)
    worker.serves(60)

    work = counted((0, [first]), (15, [worker.replica(15, waiting=80)]))

    assert work.backlog_s == pytest.approx(80 * 1000 / 8000, rel=0.01)


def test_learned_request_lengths_survive_a_restart() -> None:
    work = Work(sizes=sizes_of(500, 50))

    assert (work.prompt_tokens, work.generated_tokens) == (500, 50)
