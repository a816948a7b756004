import pytest

from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from chatscale.observe.dialects.registry import DIALECTS, dialect_of
from chatscale_contract.server.environment import EngineName


def test_every_engine_has_a_dialect():
    assert set(DIALECTS) == set(EngineName)


@pytest.mark.parametrize("engine", EngineName)
def test_a_pod_is_read_in_the_dialect_of_its_engine_label(engine: EngineName):
    assert dialect_of(engine.value) is DIALECTS[engine]


@pytest.mark.parametrize("engine", ["", "Unknown"])
def test_a_pod_without_a_known_label_is_read_as_our_server(engine: str):
    assert dialect_of(engine) is CHATSCALE_SERVER
