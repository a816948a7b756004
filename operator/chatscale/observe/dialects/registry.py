"""Which dialect a pod speaks. A pod's own label decides, not the spec: during a rollout pods of two engines run."""

from collections.abc import Mapping
from typing import Final

from chatscale.observe.dialects.chatscale_server import CHATSCALE_SERVER
from chatscale.observe.dialects.dialect import Dialect
from chatscale_contract.server.environment import EngineName

DIALECTS: Final[Mapping[EngineName, Dialect]] = {
    EngineName.TRANSFORMERS: CHATSCALE_SERVER,
    EngineName.SIMULATED: CHATSCALE_SERVER,
}


def dialect_of(engine: str) -> Dialect:
    """The dialect of a pod with this engine label.

    Without a known label: our server's. A server of another kind then fails to be read, and its load is unknown.
    """
    return next((dialect for name, dialect in DIALECTS.items() if name == engine), CHATSCALE_SERVER)
