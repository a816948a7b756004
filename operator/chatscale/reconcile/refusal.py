"""What the API server did not accept. Data only."""

from dataclasses import dataclass
from typing import Final, Self

from chatscale.errors import ForbiddenError

INVALID_SPEC: Final = "InvalidSpec"
FORBIDDEN: Final = "Forbidden"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server did not accept a child. The earlier version of the child continues to run, and scaling too."""

    reason: str
    message: str

    @classmethod
    def from_error(cls, error: Exception) -> Self:
        """The refusal in an InvalidSpecError or a ForbiddenError."""
        return cls(FORBIDDEN if isinstance(error, ForbiddenError) else INVALID_SPEC, str(error))
