"""The chart as a whole: lint, the CRD's life, what is said after installation, and files generated from it."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from chatscale import __version__
from chatscale.api.crd import chatmodel_crd, shopassistant_crd
from chatscale_contract.gateway.keys import hash_key
from hack.generate import generated_files
from hack.generators.chart_readme import documented_values
from hack.helm import CHART, KUBE_VERSION, helm
from hack.paths import ROOT
from tests.chart.support import render

CRDS = {
    ("CustomResourceDefinition", "", "chatmodels.chatscale.dev"): chatmodel_crd,
    ("CustomResourceDefinition", "", "shopassistants.chatscale.dev"): shopassistant_crd,
}


def test_helm_lint_has_no_complaint():
    said = helm("lint", str(CHART), "--strict", "--kube-version", KUBE_VERSION)

    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


def test_versions_are_those_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


@pytest.mark.parametrize("key", CRDS)
def test_crds_are_rendered_unchanged_and_survive_an_uninstall(key: tuple[str, str, str]):
    crd = render()[key]

    assert crd["metadata"] == {"name": key[2], "annotations": {"helm.sh/resource-policy": "keep"}}
    assert crd["spec"] == CRDS[key]()["spec"]


def test_crd_can_be_left_to_somebody_else():
    objects = render({"crds": {"install": False}})

    assert set(render()) - set(objects) == set(CRDS)


def test_no_template_lies_where_helm_never_upgrades():
    assert not (CHART / "crds").exists()


def test_generated_files_are_current():
    stale = [file.name for file in generated_files() if file.found != file.text]

    assert stale == [], "run `make generate` and commit what it writes"


def test_install_yaml_is_the_release_and_its_namespace():
    manifests = list(yaml.safe_load_all((ROOT / "manifests/install.yaml").read_text()))

    assert manifests[0] == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "chatscale-system"}}
    assert len(manifests) == len(render()) + 1


@pytest.mark.parametrize(
    ("values", "promises"),
    [
        pytest.param(
            {},
            [
                "in all namespaces",
                "It keeps the CRDs",
                "http://chatscale-gateway.default.svc/v1",
                "kubectl delete chatmodels,shopassistants --all --all-namespaces",
            ],
            id="whole cluster",
        ),
        pytest.param(
            {"scope": "Namespace", "namespaces": ["shop", "support"], "crds": {"install": False}},
            ["in shop, support", "kubectl -n shop apply", "crds.install is false"],
            id="some namespaces",
        ),
        pytest.param(
            {},
            ["KEY=$(chatscale key create first -n default)", '/v1/models -H "Authorization: Bearer $KEY"'],
            id="keys",
        ),
        pytest.param(
            {"gateway": {"auth": {"enabled": False}}},
            ["WARNING: gateway.auth.enabled is false", "curl http://127.0.0.1:8080/v1/models\n"],
            id="no keys",
        ),
        pytest.param(
            {"gateway": {"auth": {"secretNamespaces": ["shop", "support"]}}},
            ["KEY=$(chatscale key create first -n shop)", "the ChatModels of that namespace", "leaves out default"],
            id="no keys in the namespace of the release",
        ),
        pytest.param(
            {"gateway": {"auth": {"secretNamespaces": ["*"]}}},
            ["KEY=$(chatscale key create first -n default)", "opens all ChatModels"],
            id="keys in all namespaces",
        ),
        pytest.param(
            {"gateway": {"pathPrefix": "/llm", "ingress": {"enabled": True, "hosts": ["llm.example"]}}},
            ["by the Ingress:     http://llm.example/llm/v1", "WARNING: the gateway is exposed without TLS"],
            id="an ingress without TLS",
        ),
        pytest.param(
            {"gateway": {"ingress": {"enabled": True, "tls": [{"secretName": "llm"}]}}},
            ["by the Ingress:     https://ADDRESS/v1"],
            id="an ingress with TLS",
        ),
        pytest.param(
            {"gateway": {"service": {"type": "LoadBalancer"}}},
            ["WARNING: the gateway is exposed without TLS", "Set gateway.tls.secretName.\n"],
            id="a load balancer without TLS",
        ),
        pytest.param({}, ["NetworkPolicies admit only", "in namespace monitoring"], id="policies"),
    ],
)
def test_notes_name_the_next_steps_and_what_an_uninstall_keeps(values: dict, promises: list[str], tmp_path: Path):
    notes = rendered_notes(values, tmp_path)

    for promise in promises:
        assert promise in notes


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="inside the cluster"),
        pytest.param({"service": {"type": "LoadBalancer"}, "tls": {"secretName": "tls"}}, id="TLS at the gateway"),
        pytest.param({"ingress": {"enabled": True, "tls": [{"secretName": "llm"}]}}, id="TLS at the ingress"),
    ],
)
def test_notes_warn_only_of_keys_in_plain_text(values: dict, tmp_path: Path):
    assert "WARNING" not in rendered_notes({"gateway": values}, tmp_path)


def test_notes_name_samples_that_exist(tmp_path: Path):
    words = rendered_notes({}, tmp_path).split()
    samples = [word for word in words if word.startswith("manifests/samples/")]

    assert samples
    assert all((ROOT / sample).is_file() for sample in samples)


def test_notes_without_keys_make_none(tmp_path: Path):
    assert "csk-" not in rendered_notes({"gateway": {"auth": {"enabled": False}}}, tmp_path)


def test_notes_lead_to_the_chat_page(tmp_path: Path):
    notes = rendered_notes({}, tmp_path)
    assert "6. Chat in a browser, with the port-forward of step 5:\n       http://127.0.0.1:8080/ " in notes
    ingress = {"enabled": True, "hosts": ["llm.example"], "tls": [{"hosts": ["llm.example"]}]}
    behind = rendered_notes({"gateway": {"ingress": ingress, "pathPrefix": "/llm"}}, tmp_path)
    assert "by the Ingress:     https://llm.example/llm/\n" in behind
    assert "in a browser" not in rendered_notes({"gateway": {"pages": {"enabled": False}}}, tmp_path)


def test_the_commands_of_the_notes_store_the_hash_of_the_key(tmp_path: Path):
    """They run with a kubectl that prints its arguments."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    kubectl.chmod(0o755)
    notes = rendered_notes({}, tmp_path)
    begin = notes.index("KEY=csk-")
    commands = notes[begin : notes.index("\n", notes.index("label secret"))]
    script = f'set -eu\nPATH="{kubectl.parent}:$PATH"\n{commands}\nprintf "%s\\n" "$KEY"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()

    key = said[-1]
    assert len(key) == len("csk-") + 64
    assert f"--from-literal=sha256={hash_key(key)}" in said
    assert said[-3:-1] == ["first", "chatscale.dev/api-key=true"]


def test_every_value_is_documented_once():
    paths = [row.path for row in documented_values((CHART / "values.yaml").read_text())]

    assert len(paths) == len(set(paths))


def rendered_notes(values: dict, folder: Path) -> str:
    """`helm template` leaves NOTES.txt out, so it is rendered as the only text of a ConfigMap in a copied chart."""
    chart = folder / "chatscale"
    for path in (CHART / "Chart.yaml", CHART / "values.yaml", *CHART.glob("templates/**/*.tpl")):
        copied = chart / path.relative_to(CHART)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(path.read_text())
    notes = (CHART / "templates/NOTES.txt").read_text()
    (chart / "templates/notes.yaml").write_text(f'{{{{- define "notes" -}}}}{notes}{{{{- end -}}}}\n' + CONFIG_MAP)
    out = helm(
        *("template", "chatscale", str(chart), "--kube-version", KUBE_VERSION, "--values", "-"),
        stdin=json.dumps(values),
    )
    return yaml.safe_load(out)["data"]["notes"]


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data: {notes: {{ include "notes" . | toJson }}}
"""
