"""Builds are keyed by their pins."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster.addons import ADDONS, name_images_in, release_of
from hack.cluster.places import Places
from hack.cluster.toolchain import (
    BUILD_ORDER,
    COREDNS,
    KUBERNETES,
    KUBERNETES_PROGRAMS,
    OUR_MODULE,
    PROMETHEUS,
    Toolchain,
    go_output_name,
)
from hack.cluster.tools import minor_version
from hack.paths import ROOT


def toolchain(repository, cache=Path("/nowhere")):
    return Toolchain(Places(repository=repository, cache=cache))


@pytest.mark.parametrize("build", BUILD_ORDER, ids=lambda build: build.name)
def test_every_program_is_pinned_and_known_to_go_mod_tidy(build):
    assert toolchain(ROOT).version(build).startswith("v")
    tools = (ROOT / "hack/go/tools.go").read_text()
    for package in build.programs.values():
        folder = ROOT / "hack/go" / package.removeprefix(f"{OUR_MODULE}/")
        assert f'"{package}"' in tools or (folder / "main.go").is_file()


def test_the_version_of_kubernetes_is_that_of_every_library_of_it():
    replaced = re.findall(r"(?m)^\tk8s.io/\S+ => k8s.io/\S+ v0\.(\S+)$", (ROOT / "hack/go/go.mod").read_text())
    assert len(replaced) == 31
    assert {f"v1.{minor}" for minor in replaced} == {toolchain(ROOT).version(KUBERNETES)}


def test_a_changed_pin_source_or_flag_is_another_build(tmp_path):
    shutil.copytree(ROOT / "hack/go", tmp_path / "hack/go")
    before = toolchain(tmp_path).built(COREDNS)
    assert before.name == f"coredns-{toolchain(ROOT).version(COREDNS)}-{toolchain(ROOT).key(COREDNS)}"
    assert toolchain(tmp_path).key(replace(COREDNS, tags="x")) != toolchain(tmp_path).key(COREDNS)
    for name in ("go.sum", "coredns/main.go"):
        with (tmp_path / "hack/go" / name).open("a") as file:
            file.write("\n")
        after = toolchain(tmp_path).built(COREDNS)
        assert after != before
        before = after


def test_the_source_of_one_program_renames_no_other_build(tmp_path):
    shutil.copytree(ROOT / "hack/go", tmp_path / "hack/go")
    (tmp_path / "hack/go/coredns/main.go").write_text("package main")
    assert toolchain(tmp_path).key(KUBERNETES) == toolchain(ROOT).key(KUBERNETES)


def test_every_kubernetes_program_is_one_that_the_common_file_acts_as():
    source = (ROOT / "hack/go/kubernetes/main.go").read_text()
    assert [name for name in KUBERNETES_PROGRAMS if f'"{name}"' not in source] == []


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
        reference = f"image: registry.local:5001/{addon.repository}:{toolchain(ROOT).version(addon.build)}\n"
        assert any(reference in path.read_text() for path in (ROOT / "manifests/kind").glob("*.yaml")), reference


def test_another_build_of_an_addon_has_another_image():
    manifests = "".join(path.read_text() for path in sorted((ROOT / "manifests/kind").glob("*.yaml")))
    named = name_images_in(manifests, toolchain(ROOT), from_hub=False)
    for addon in ADDONS:
        version, key = toolchain(ROOT).version(addon.build), toolchain(ROOT).key(addon.build)
        assert f"image: registry.local:5001/{addon.repository}:{version}-{key}\n" in named
    assert name_images_in(manifests, toolchain(ROOT), from_hub=True) == manifests


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
