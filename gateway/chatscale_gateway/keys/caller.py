"""Who sends a request. It follows from the key alone, never from anything else that a client can send."""

from dataclasses import dataclass, field
from typing import Final

from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_gateway.routing.catalog import ModelKey

OIDC_PREFIX: Final = "oidc:"
"""Of the name of a token's owner. A Secret's name has no colon, so no token has the name of a key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a key, or everybody where authentication is off."""

    key: KeyId | None
    """None where authentication is off."""
    policy: KeyPolicy = field(default_factory=KeyPolicy)
    opens_all: bool = True
    """The Secret is in the gateway's namespace: it opens ChatModels of all namespaces."""

    @property
    def label(self) -> str:
        """For metrics and logs: `namespace/name` of the Secret; empty where authentication is off."""
        return "" if self.key is None else str(self.key)

    @property
    def namespace(self) -> str | None:
        """Namespace that a model's name without a namespace prefers; None where authentication is off."""
        return None if self.key is None else self.key.namespace

    def may_use(self, model: ModelKey) -> bool:
        """Whether the key opens this ChatModel."""
        if not self.opens_all and (self.key is None or self.key.namespace != model.namespace):
            return False
        names = self.policy.models
        return not names or str(model) in names or model.name in names


ANYBODY: Final = Caller(None)
"""The caller of every request where authentication is off."""
