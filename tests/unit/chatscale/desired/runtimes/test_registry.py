from chatscale.desired.runtimes.registry import RUNTIMES
from chatscale_contract.server.environment import EngineName


def test_every_engine_has_a_runtime():
    assert set(RUNTIMES) == set(EngineName)
