"""Programs built from Go modules.

hack/go is one Go module that pins them all and what they need; nothing of them
is copied into the repository.  One module, not one for each program: most of
their packages are the same, and of the same version they are compiled once.
A build is kept under a key of go.mod, go.sum, its own sources and its flags.
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
"""Kubernetes takes 5 minutes on two cores; leave room for a slow machine."""
OUR_MODULE = "chatscale.dev/hack"
"""The module of hack/go: packages below it are folders there."""
COMPILER_FLAGS = ("-trimpath", "-gcflags=all=-dwarf=false")
"""The same for every program, or Go's cache would keep its packages twice.  Nobody debugs these programs."""

BUILD_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    # The compiler collects its garbage less often, as long as a process stays below the limit: a fifth less CPU time.
    "GOGC": "400",
    "GOMEMLIMIT": "2GiB",
}


@dataclass(frozen=True, slots=True)
class GoBuild:
    """The programs that one `go build` makes."""

    name: str
    module: str
    """The module whose version in go.mod names the build; empty for our own code."""
    programs: Mapping[str, str]
    """Program -> Go package."""
    links: Mapping[str, str] | None = None
    """Name -> the program that acts by this name."""
    tags: str = ""
    ldflags: str = "-s -w"
    """`{version}`, `{major}` and `{minor}` are replaced."""


_VERSION = "k8s.io/component-base/version"
# Without these kubeadm takes itself for v0.0.0 and refuses the cluster's version.
_KUBERNETES_LDFLAGS = (
    f"-s -w -X {_VERSION}.gitVersion={{version}} -X {_VERSION}.gitMajor={{major}} "
    f"-X {_VERSION}.gitMinor={{minor}} -X {_VERSION}.gitTreeState=clean"
)

KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
)
KUBERNETES = GoBuild(
    name="kubernetes",
    module="k8s.io/kubernetes",
    programs={"kubernetes": f"{OUR_MODULE}/kubernetes"},
    links=dict.fromkeys(KUBERNETES_PROGRAMS, "kubernetes"),
    ldflags=_KUBERNETES_LDFLAGS,
)
KUBECTL = GoBuild(
    name="kubectl",
    module="k8s.io/kubernetes",
    programs={"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
    ldflags=_KUBERNETES_LDFLAGS,
)
KIND = GoBuild("kind", "sigs.k8s.io/kind", {"kind": "sigs.k8s.io/kind"})
ETCD = GoBuild("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"})
COREDNS = GoBuild("coredns", "github.com/coredns/coredns", {"coredns": f"{OUR_MODULE}/coredns"})
PAUSE = GoBuild("pause", "", {"pause": f"{OUR_MODULE}/pause"})
HELM = GoBuild("helm", "helm.sh/helm/v3", {"helm": "helm.sh/helm/v3/cmd/helm"})
PROMETHEUS = GoBuild(
    "prometheus",
    "github.com/prometheus/prometheus",
    {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
    # Of the service discoveries only Kubernetes': 76 MB instead of 190, and half the build.
    tags="remove_all_sd,enable_kubernetes_sd",
)
ADAPTER = GoBuild(
    "prometheus-adapter",
    "sigs.k8s.io/prometheus-adapter",
    {"adapter": f"{OUR_MODULE}/adapter"},
)
NETWORK_POLICIES = GoBuild(
    "kube-network-policies",
    "sigs.k8s.io/kube-network-policies",
    {"kube-network-policies": "sigs.k8s.io/kube-network-policies/cmd"},
)

BUILD_ORDER = (KUBERNETES, KUBECTL, KIND, ETCD, PAUSE, COREDNS, NETWORK_POLICIES, ADAPTER, PROMETHEUS, HELM)
"""One after the other, since `go build` uses every core; first what the node image waits for."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Builds Go programs into the cache."""

    places: Places

    def version(self, build: GoBuild) -> str:
        """Read the pinned version; our own code, which has none, is v0."""
        if not build.module:
            return "v0"
        go_mod = self._folder / "go.mod"
        found = re.search(
            rf"^(?:require )?\s*{re.escape(build.module)} (v\S+)", go_mod.read_text(encoding="utf-8"), re.MULTILINE
        )
        if found is None:
            raise BringUpError(f"{go_mod} does not require {build.module}")
        return found.group(1)

    def key(self, build: GoBuild) -> str:
        """Hash what decides about the build's result."""
        pinned = [(self._folder / name).read_bytes() for name in ("go.mod", "go.sum")]
        ours = [package for package in build.programs.values() if package.startswith(f"{OUR_MODULE}/")]
        sources = [(self._folder / Path(package).name / "main.go").read_bytes() for package in ours]
        return key_of(
            *pinned, *sources, *COMPILER_FLAGS, build.tags, build.ldflags, *build.programs, *(build.links or {})
        )

    def built(self, build: GoBuild) -> Path:
        """Name the folder of these programs, built or not."""
        return self.places.builds / f"{build.name}-{self.version(build)}-{self.key(build)}"

    def is_built(self, build: GoBuild) -> bool:
        """Tell whether the cache has it."""
        return self.built(build).is_dir()

    def build(self, commands: Commands, build: GoBuild) -> Path:
        """Build what the cache lacks; return the folder of the programs."""
        target = self.built(build)
        if target.is_dir():
            return target
        if shutil.which("go") is None:
            raise BringUpError(
                f"Go 1.26 or later is needed on PATH to build {', '.join(build.programs)}. Where a container registry "
                "can be reached, kind, kubectl and helm on PATH do as well."
            )
        # Renamed when complete, so an interrupted build is never taken for a whole one.
        unfinished = target.with_name(target.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        major, minor = (self.version(build).lstrip("v") + ".0").split(".")[:2]
        ldflags = build.ldflags.format(version=self.version(build), major=major, minor=minor)
        tags = ["-tags", build.tags] if build.tags else []
        commands.run(
            "go", "build", *COMPILER_FLAGS, "-ldflags", ldflags, *tags, "-o", f"{unfinished}/",
            *build.programs.values(),
            cwd=self._folder,
            env=BUILD_ENVIRONMENT,
            deadline_s=BUILD_DEADLINE_S,
        )  # fmt: skip
        for program, package in build.programs.items():
            (unfinished / go_output_name(package)).rename(unfinished / program)
        for name, program in (build.links or {}).items():
            (unfinished / name).symlink_to(program)
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

    @property
    def _folder(self) -> Path:
        return self.places.hack / "go"


def go_output_name(package: str) -> str:
    """Name the file `go build` writes: the last path element that is not a major version."""
    *_, before, last = ["", *package.split("/")]
    return before if re.fullmatch(r"v\d+", last) else last
