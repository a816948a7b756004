"""Callers with limits."""

from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_gateway.keys.caller import Caller


def a_caller(name: str = "shop", **policy: object) -> Caller:
    return Caller(KeyId("demo", name), KeyPolicy(**policy))
