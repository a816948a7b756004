from chatscale_simulator.policies.behavior import HpaBehavior
from chatscale_simulator.policies.keda import Keda, KedaSettings
from tests.unit.chatscale_simulator.simulation.views import a_view, waiting


def test_one_replica_per_five_waiting():
    assert Keda().decide(waiting(0, 31, ready=4)) == 7


def test_an_empty_result_reads_as_no_load_and_only_the_window_holds():
    keda = Keda()
    assert keda.decide(waiting(0, 20, ready=4)) == 4
    for now_s in range(15, 300, 15):
        assert keda.decide(a_view(now_s).with_ready(4).blind().build()) == 4
    assert keda.decide(a_view(300).with_ready(4).blind().build()) == 1


def test_without_an_idle_count_the_window_alone_lowers():
    keda = Keda(KedaSettings(cooldown_s=None, behavior=HpaBehavior(down_stabilization_s=900)))
    assert keda.decide(waiting(0, 20, ready=4)) == 4
    assert keda.decide(waiting(375, 0, ready=4)) == 4
    assert keda.decide(waiting(900, 0, ready=4)) == 1


def test_the_idle_count_comes_after_the_cooldown_whatever_the_window_says():
    keda = Keda(KedaSettings(cooldown_s=360, behavior=HpaBehavior(down_stabilization_s=900)))
    assert keda.decide(waiting(0, 20, ready=4)) == 4
    assert keda.decide(waiting(360, 0, ready=4)) == 4
    assert keda.decide(waiting(375, 0, ready=4)) == 1
