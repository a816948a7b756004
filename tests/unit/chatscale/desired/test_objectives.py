from chatscale.desired.objectives import build_objectives
from tests.support.chatmodels import a_chatmodel
from tests.support.golden import assert_golden


def test_builds_the_reviewed_manifest() -> None:
    assert_golden(
        "configmap_slo", build_objectives(a_chatmodel("shop", autoscaling={"slo": {"ttftMilliseconds": 750}}))
    )
