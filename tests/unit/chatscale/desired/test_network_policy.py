from chatscale.desired.network_policy import PodAccess, build_network_policy
from tests.support.chatmodels import a_chatmodel
from tests.support.golden import assert_golden

GATEWAY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "chatscale-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "chatscale-gateway"}},
}


def test_builds_the_reviewed_manifest() -> None:
    extra = {"from": [{"podSelector": {"matchLabels": {"app": "bench"}}}]}
    access = PodAccess(peers=(GATEWAY,), extra_ingress=(extra,))
    policy = build_network_policy(a_chatmodel("shop"), access)

    assert policy is not None
    assert_golden("network_policy", policy)


def test_without_peers_everybody_may_connect() -> None:
    extra = {"from": [{"podSelector": {}}]}

    assert build_network_policy(a_chatmodel("shop"), PodAccess(extra_ingress=(extra,))) is None
