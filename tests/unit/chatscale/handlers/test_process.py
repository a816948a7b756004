"""The start of the operator: which kinds it serves, and whom the reports of gateways wake."""

import pytest

from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import SHOPASSISTANT
from chatscale.desired.manifest import ObjectKey
from chatscale.errors import ClusterUnavailableError
from chatscale.handlers.process import CRD_CHECK_S, _end_when_served, _served_watches, wake_reported
from chatscale.reconcile.watches import WATCHES, resources_concerned
from tests.support.assistant_world import assistant_manifest
from tests.support.builders import a_chatmodel
from tests.support.clock import virtual_time_loop

BOTH = frozenset({"chatmodels", "shopassistants"})


class Crds:
    """Serves what `answers` says, one after the other; the last one stays."""

    def __init__(self, *answers: frozenset[str] | ClusterUnavailableError) -> None:
        self.answers = list(answers)

    async def served_kinds(self) -> frozenset[str]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, ClusterUnavailableError):
            raise found
        return found


def test_waits_for_the_crd_of_chatmodels():
    crds = Crds(ClusterUnavailableError("down"), frozenset(), BOTH)

    assert virtual_time_loop().run_until_complete(_served_watches(crds)) == WATCHES


def test_a_crd_that_comes_a_moment_later_in_an_upgrade_is_served():
    crds = Crds(frozenset({"chatmodels"}), frozenset({"chatmodels"}), BOTH)

    assert virtual_time_loop().run_until_complete(_served_watches(crds)) == WATCHES


def test_serves_chatmodels_where_the_crd_of_shopassistants_is_missing():
    watches = virtual_time_loop().run_until_complete(_served_watches(Crds(frozenset({"chatmodels"}))))

    assert set(WATCHES) - set(watches) == {watch for watch in WATCHES if watch.kind is SHOPASSISTANT}


def test_restarts_when_the_missing_crd_is_installed():
    loop = virtual_time_loop()
    watches = tuple(watch for watch in WATCHES if watch.kind is not SHOPASSISTANT)
    crds = Crds(frozenset({"chatmodels"}), ClusterUnavailableError("down"), BOTH)

    with pytest.raises(ClusterUnavailableError, match="restarts to watch it"):
        loop.run_until_complete(_end_when_served(crds, watches))
    assert loop.time() == pytest.approx(3 * CRD_CHECK_S)


def test_a_gateway_that_holds_requests_wakes_the_chatmodel_or_the_assistant_and_nobody_else():
    cache, woken = WatchCache(owners_of=resources_concerned), list[ObjectKey]()
    for manifest in (a_chatmodel().manifest(), assistant_manifest(), assistant_manifest(name="tiny", uid="twin")):
        cache.store(manifest)

    for name in ("demo/tiny", "demo/shop", "demo/gone", "nonsense"):
        wake_reported(cache, woken.append, name)

    assert woken == [ObjectKey("ChatModel", "demo", "tiny"), ObjectKey("ShopAssistant", "demo", "shop")]
