"""Programs built from Go modules.

Each folder below hack/go pins one module and all it needs in go.mod and
go.sum; nothing of it is copied into the repository.  A build is kept under a
key of those two files and its flags, so only a changed pin builds again.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.commands import Commands
from hack.cluster.content import key_of
from hack.cluster.errors import BringUpError
from hack.cluster.places import Places

BUILD_DEADLINE_S = 3600.0
"""Kubernetes takes 7 minutes on two cores; leave room for a slow machine."""


@dataclass(frozen=True, slots=True)
class GoModule:
    """One folder of hack/go and the programs built from it."""

    folder: str
    module: str
    """The module whose version in go.mod names the build."""
    programs: Mapping[str, str]
    """Program -> Go package."""
    tags: str = ""
    ldflags: str = "-s -w"
    """`{version}`, `{major}` and `{minor}` are replaced."""


_KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
)
_VERSION = "k8s.io/component-base/version"

KUBERNETES = GoModule(
    folder="kubernetes",
    module="k8s.io/kubernetes",
    programs={name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES_PROGRAMS},
    # Without these kubeadm takes itself for v0.0.0 and refuses the cluster's version.
    ldflags=(
        f"-s -w -X {_VERSION}.gitVersion={{version}} -X {_VERSION}.gitMajor={{major}} "
        f"-X {_VERSION}.gitMinor={{minor}} -X {_VERSION}.gitTreeState=clean"
    ),
)
KIND = GoModule(
    folder="kind",
    module="sigs.k8s.io/kind",
    programs={"kind": "sigs.k8s.io/kind", "etcd": "go.etcd.io/etcd/server/v3"},
)
COREDNS = GoModule("coredns", "github.com/coredns/coredns", {"coredns": "github.com/coredns/coredns"})
PAUSE = GoModule("pause", "", {"pause": "chatscale.dev/hack/pause"})
REGISTRY = GoModule(
    "registry",
    "github.com/distribution/distribution/v3",
    {"registry": "github.com/distribution/distribution/v3/cmd/registry"},
)
HELM = GoModule("helm", "helm.sh/helm/v3", {"helm": "helm.sh/helm/v3/cmd/helm"})
PROMETHEUS = GoModule(
    "prometheus",
    "github.com/prometheus/prometheus",
    {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
    # Of the service discoveries only Kubernetes': 76 MB instead of 190, and half the build.
    tags="remove_all_sd,enable_kubernetes_sd,netgo",
)
ADAPTER = GoModule(
    "prometheus-adapter",
    "sigs.k8s.io/prometheus-adapter",
    {"adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"},
)

BUILD_ORDER = (KUBERNETES, KIND, PAUSE, COREDNS, REGISTRY, ADAPTER, PROMETHEUS, HELM)
"""One after the other, since `go build` uses every core; first what the node image waits for."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Builds Go modules into the cache."""

    places: Places

    def version(self, module: GoModule) -> str:
        """Read the pinned version; the folder's own code, which has none, is v0."""
        if not module.module:
            return "v0"
        text = self._file(module, "go.mod").read_text(encoding="utf-8")
        found = re.search(rf"^(?:require )?\s*{re.escape(module.module)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise BringUpError(f"{self._file(module, 'go.mod')} does not require {module.module}")
        return found.group(1)

    def key(self, module: GoModule) -> str:
        """Hash what decides about the build's result."""
        pinned = [self._file(module, name).read_bytes() for name in ("go.mod", "go.sum")]
        sources = [path.read_bytes() for path in sorted((self.places.hack / "go" / module.folder).glob("main.go"))]
        return key_of(*pinned, *sources, module.tags, module.ldflags, *module.programs)

    def built(self, module: GoModule) -> Path:
        """Name the folder of this module's programs, built or not."""
        return self.places.builds / f"{module.folder}-{self.version(module)}-{self.key(module)}"

    def is_built(self, module: GoModule) -> bool:
        """Tell whether the cache has it."""
        return self.built(module).is_dir()

    def build(self, commands: Commands, module: GoModule) -> Path:
        """Build what the cache lacks; return the folder of the programs."""
        target = self.built(module)
        if target.is_dir():
            return target
        if shutil.which("go") is None:
            raise BringUpError(
                f"Go 1.26 or later is needed on PATH to build {', '.join(module.programs)}. Where a container registry "
                "can be reached, kind, kubectl and helm on PATH do as well."
            )
        # Renamed when complete, so an interrupted build is never taken for a whole one.
        unfinished = target.with_name(target.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        major, minor = (self.version(module).lstrip("v") + ".0").split(".")[:2]
        ldflags = module.ldflags.format(version=self.version(module), major=major, minor=minor)
        tags = ["-tags", module.tags] if module.tags else []
        commands.run(
            "go", "build", "-trimpath", "-ldflags", ldflags, *tags, "-o", f"{unfinished}/", *module.programs.values(),
            cwd=self.places.hack / "go" / module.folder,
            env={"CGO_ENABLED": "0"},
            deadline_s=BUILD_DEADLINE_S,
        )  # fmt: skip
        for program, package in module.programs.items():
            (unfinished / go_output_name(package)).rename(unfinished / program)
        unfinished.rename(target)
        return target

    def link(self, program: str, target: Path) -> None:
        """Put a program into the folder that belongs on PATH."""
        self.places.tools.mkdir(parents=True, exist_ok=True)
        link = self.places.tools / program
        fresh = link.with_name(f".{program}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)

    def _file(self, module: GoModule, name: str) -> Path:
        return self.places.hack / "go" / module.folder / name


def go_output_name(package: str) -> str:
    """Name the file `go build` writes: the last path element that is not a major version."""
    *_, before, last = ["", *package.split("/")]
    return before if re.fullmatch(r"v\d+", last) else last
