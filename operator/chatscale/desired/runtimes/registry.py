"""Which runtime runs which engine."""

from collections.abc import Mapping
from typing import Final

from chatscale.desired.runtimes.chatscale_server import CHATSCALE_SERVER
from chatscale.desired.runtimes.runtime import Runtime
from chatscale_contract.server.environment import EngineName

RUNTIMES: Final[Mapping[EngineName, Runtime]] = {
    EngineName.TRANSFORMERS: CHATSCALE_SERVER,
    EngineName.SIMULATED: CHATSCALE_SERVER,
}
