"""What the operator watches, and which custom resources a change concerns. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from chatscale.cluster.interface import SHOPASSISTANT, Watch
from chatscale.desired.manifest import ObjectKey
from chatscale.reconcile.chatmodel.watches import WATCHES as OF_CHATMODELS
from chatscale.reconcile.chatmodel.watches import chatmodels_concerned
from chatscale.reconcile.shopassistant.watches import shopassistants_concerned

WATCHES: Final = (*OF_CHATMODELS, Watch(SHOPASSISTANT))
"""The watches of children and pods cover both kinds."""


def resources_concerned(manifest: Mapping[str, Any]) -> set[ObjectKey]:
    """The custom resources whose pass depends on this object; some of them may not exist."""
    return chatmodels_concerned(manifest) | shopassistants_concerned(manifest)
