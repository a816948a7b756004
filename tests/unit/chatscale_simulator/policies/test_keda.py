from chatscale_simulator.policies.behavior import HpaBehavior
from chatscale_simulator.policies.keda import Keda, KedaSettings
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot, waiting


def test_one_replica_per_five_waiting():
    assert Keda().decide(waiting(0, 31, ready=4)) == 7


def test_an_empty_result_is_no_load_and_only_the_window_holds_the_count():
    keda = Keda()
    assert keda.decide(waiting(0, 20, ready=4)) == 4
    for now_s in range(15, 300, 15):
        assert keda.decide(a_snapshot(now_s).with_ready(4).without_data().build()) == 4
    assert keda.decide(a_snapshot(300).with_ready(4).without_data().build()) == 1


def test_without_an_idle_count_only_the_window_scales_down():
    keda = Keda(KedaSettings(cooldown_s=None, behavior=HpaBehavior(down_stabilization_s=900)))
    assert keda.decide(waiting(0, 20, ready=4)) == 4
    assert keda.decide(waiting(375, 0, ready=4)) == 4
    assert keda.decide(waiting(900, 0, ready=4)) == 1


def test_the_idle_count_applies_after_the_cooldown_despite_the_window():
    keda = Keda(KedaSettings(cooldown_s=360, behavior=HpaBehavior(down_stabilization_s=900)))
    assert keda.decide(waiting(0, 20, ready=4)) == 4
    assert keda.decide(waiting(360, 0, ready=4)) == 4
    assert keda.decide(waiting(375, 0, ready=4)) == 1
