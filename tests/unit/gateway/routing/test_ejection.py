from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.routing.ejection import FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S, EjectionCause, Ejections

PODS = ("a", "b", "c")


def eject(ejections: Ejections, uid: str, now_s: float) -> None:
    for _ in range(3):
        ejections.record_fault(uid, PODS, now_s)
    assert ejections.is_ejected(uid)


def answer(ejections: Ejections, uid: str, now_s: float) -> bool:
    """True if the replica is routable after the answer."""
    ejections.record_reading(uid, answered=True, accepting=PODS, now_s=now_s)
    return not ejections.is_ejected(uid)


def test_three_faults_in_30_s_eject():
    ejections = Ejections()
    assert [ejections.record_fault("a", PODS, now_s) for now_s in (0, 20, 31)] == [None, None, None]
    assert ejections.record_fault("a", PODS, 45) is EjectionCause.FAULTS
    assert ejections.routable(PODS) == ["b", "c"]


def test_three_readings_in_a_row_without_an_answer_eject():
    ejections = Ejections()
    answer(ejections, "b", 0)
    causes = [ejections.record_reading("a", answered=False, accepting=PODS, now_s=n) for n in range(3)]
    assert causes == [None, None, EjectionCause.NO_READING]


def test_missed_readings_of_all_replicas_eject_none():
    ejections = Ejections()
    for now_s in range(10):
        for uid in PODS:
            assert ejections.record_reading(uid, answered=False, accepting=PODS, now_s=now_s) is None


def test_comes_back_after_the_back_off_when_a_reading_answers():
    ejections = Ejections()
    eject(ejections, "a", 0)
    assert not answer(ejections, "a", FIRST_BACK_OFF_S - 1)
    assert answer(ejections, "a", FIRST_BACK_OFF_S)


def test_the_back_off_doubles_to_a_bound_and_starts_again_after_a_good_time():
    ejections = Ejections()
    now_s, back_offs = 0.0, []
    for _ in range(8):
        eject(ejections, "a", now_s)
        start_s = now_s
        while not answer(ejections, "a", now_s):
            now_s += 1
        back_offs.append(now_s - start_s)
    assert back_offs == [5, 10, 20, 40, 80, 160, 160, 160]
    now_s += LONGEST_BACK_OFF_S + 1
    eject(ejections, "a", now_s)
    assert answer(ejections, "a", now_s + FIRST_BACK_OFF_S)


@given(st.lists(st.tuples(st.sampled_from(PODS), st.sampled_from(["fault", "miss", "answer"]), st.integers(0, 20))))
def test_promise_16_never_ejects_the_last_replica(steps):
    ejections, now_s = Ejections(), 0.0
    for uid, what, pause_s in steps:
        now_s += pause_s
        if what == "fault":
            ejections.record_fault(uid, PODS, now_s)
        else:
            ejections.record_reading(uid, answered=what == "answer", accepting=PODS, now_s=now_s)
        assert not all(ejections.is_ejected(each) for each in PODS)


def test_an_ejected_replica_serves_when_it_is_the_only_one_left():
    ejections = Ejections()
    eject(ejections, "a", 0)
    assert ejections.routable(("a",)) == ["a"]


def test_forgets_pods_that_do_not_exist():
    ejections = Ejections()
    eject(ejections, "a", 0)
    ejections.forget_all_but(("b", "c"))
    assert not ejections.is_ejected("a")
