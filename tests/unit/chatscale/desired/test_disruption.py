from chatscale.desired.disruption import build_disruption_budget
from tests.support.chatmodels import a_chatmodel
from tests.support.golden import assert_golden


def test_builds_the_reviewed_manifest() -> None:
    assert_golden("disruption_budget", build_disruption_budget(a_chatmodel("shop")))
