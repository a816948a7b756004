"""Builds are keyed by their pins."""

import shutil
from pathlib import Path

import pytest

from hack.cluster.addons import ADDONS, release_of
from hack.cluster.places import Places
from hack.cluster.toolchain import BUILD_ORDER, KIND, KUBERNETES, PROMETHEUS, Toolchain, go_output_name
from hack.cluster.tools import minor_version
from hack.paths import ROOT


def toolchain(repository, cache=Path("/nowhere")):
    return Toolchain(Places(repository=repository, cache=cache))


@pytest.mark.parametrize("module", BUILD_ORDER, ids=lambda module: module.folder)
def test_every_module_is_pinned_with_checksums(module):
    assert toolchain(ROOT).version(module).startswith("v")
    assert (ROOT / "hack/go" / module.folder / "go.sum").is_file()
    for package in module.programs.values():
        pinned = "".join(path.read_text() for path in (ROOT / "hack/go" / module.folder).glob("*.go"))
        assert f'"{package}"' in pinned or package == "chatscale.dev/hack/pause"


def test_a_changed_pin_is_another_build(tmp_path):
    shutil.copytree(ROOT / "hack/go/kind", tmp_path / "hack/go/kind")
    before = toolchain(tmp_path).built(KIND)
    assert before.name == f"kind-{toolchain(ROOT).version(KIND)}-{toolchain(ROOT).key(KIND)}"
    with (tmp_path / "hack/go/kind/go.sum").open("a") as sums:
        sums.write("\n")
    assert toolchain(tmp_path).built(KIND) != before


@pytest.mark.parametrize(
    ("package", "name"),
    [
        pytest.param("go.etcd.io/etcd/server/v3", "server", id="major-version-last"),
        pytest.param("sigs.k8s.io/kind", "kind", id="module-root"),
        pytest.param("helm.sh/helm/v3/cmd/helm", "helm", id="major-version-inside"),
    ],
)
def test_knows_what_go_calls_the_program(package, name):
    assert go_output_name(package) == name


def test_manifests_name_the_versions_that_are_built():
    for addon in ADDONS:
        reference = f"image: registry.local:5001/{addon.repository}:{toolchain(ROOT).version(addon.module)}\n"
        assert any(reference in path.read_text() for path in (ROOT / "manifests/kind").glob("*.yaml")), reference


def test_prometheus_has_two_names_for_a_version():
    assert release_of("v0.316.0") == "v3.16.0"
    assert release_of("v0.305.2") == "v3.5.2"
    assert toolchain(ROOT).version(PROMETHEUS).startswith("v0.3")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("kind v0.33.0 go1.26 linux/amd64", (0, 33), id="kind"),
        pytest.param("v3.22.0+g1234567", (3, 22), id="helm"),
        pytest.param("no version", (0, 0), id="none"),
    ],
)
def test_reads_a_tools_version(text, found):
    assert minor_version(text) == found


def test_kubernetes_still_runs_on_cgroup_v1():
    # From 1.35 on kubelet refuses it.
    assert minor_version(toolchain(ROOT).version(KUBERNETES)) == (1, 34)
