"""Where the bring-up keeps what it builds.

Everything large lies in one cache folder outside the repository, so that a
checkout can be thrown away without paying for the builds again.
"""

from dataclasses import dataclass
from pathlib import Path

from hack.paths import ROOT, cache_dir

CLUSTER_NAME = "chatscale"
"""kind's name for the cluster; the kubeconfig context is `kind-chatscale`."""


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one machine."""

    repository: Path
    cache: Path

    @property
    def tools(self) -> Path:
        """Links to kind, kubectl and helm: a folder to put on PATH."""
        return self.cache / "bin"

    @property
    def builds(self) -> Path:
        """One folder per Go module and version."""
        return self.cache / "builds"

    @property
    def logs(self) -> Path:
        """One file per step, overwritten by the next run."""
        return self.cache / "logs"

    @property
    def docker(self) -> Path:
        """What the daemon needs at every start; must outlive a restart."""
        return self.cache / "docker"

    @property
    def registry_data(self) -> Path:
        """The local registry's storage, kept when its container is replaced."""
        return self.cache / "registry"

    @property
    def images_json(self) -> Path:
        """Image name -> reference as a pod spec names it."""
        return self.cache / "images.json"

    @property
    def hack(self) -> Path:
        """This folder's non-Python inputs: Go modules, Dockerfiles, scripts."""
        return self.repository / "hack"

    @property
    def manifests(self) -> Path:
        """The cluster's own manifests."""
        return self.repository / "manifests" / "kind"


def places_of_this_machine() -> Places:
    """The checkout this file lies in, and the user's cache folder."""
    return Places(repository=ROOT, cache=cache_dir())
