"""Samples are valid and follow the advice of the documentation."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatscale import names
from chatscale.api.v1alpha1 import AutoscalingMode, ChatModel, Device
from chatscale.api.v1alpha1.shopassistant import ShopAssistant
from chatscale.desired.autoscaler import build_hpa
from hack.paths import ROOT

ASSISTANT = ROOT / "manifests/samples/shopassistant.yaml"
SAMPLES = sorted(set((ROOT / "manifests/samples").glob("*.yaml")) - {ASSISTANT})
each_sample = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    (manifest,) = [document for document in yaml.safe_load_all(path.read_text()) if document]
    return manifest


def model_of(manifest: dict[str, Any]) -> ChatModel:
    return ChatModel.model_validate({**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}})


def unknown_fields(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Fields that the API server would drop silently, or kubectl reject."""
    if isinstance(value, list):
        return [name for item in value for name in unknown_fields(item, schema["items"], f"{path}[]")]
    is_open = "additionalProperties" in schema or "x-kubernetes-preserve-unknown-fields" in schema
    if not isinstance(value, dict) or is_open:
        return []
    known = schema.get("properties", {})
    unknown = [f"{path}.{name}" for name in value if name not in known]
    inside = [unknown_fields(item, known[name], f"{path}.{name}") for name, item in value.items() if name in known]
    return unknown + [name for names_ in inside for name in names_]


@each_sample
def test_is_a_chatmodel_of_the_served_version(path: Path):
    manifest = load(path)

    assert (manifest["apiVersion"], manifest["kind"]) == (names.API_VERSION, names.KIND)
    model_of(manifest)


@each_sample
def test_uses_only_fields_that_exist(path: Path, spec_schema: dict[str, Any]):
    assert unknown_fields(load(path)["spec"], spec_schema, "spec") == []


@each_sample
def test_leaves_replicas_to_the_autoscaler(path: Path):
    manifest = load(path)
    fixed = model_of(manifest).spec.autoscaling.mode is AutoscalingMode.FIXED

    assert ("replicas" in manifest["spec"]) == fixed


@each_sample
def test_requests_memory_and_cpu(path: Path):
    requests = model_of(load(path)).spec.resources.requests

    assert {"cpu", "memory"} <= set(requests)


@each_sample
def test_runs_without_an_image_that_nobody_publishes(path: Path):
    assert "image" not in load(path)["spec"].get("server", {})


def test_the_hpa_sample_names_every_external_metric_that_its_hpa_reads():
    path = ROOT / "manifests/samples/hpa.yaml"
    hpa = build_hpa(model_of(load(path)), least=1)
    assert hpa is not None
    read = {metric["external"]["metric"]["name"] for metric in hpa["spec"]["metrics"]}

    assert read == set(re.findall(r"inference_\w+", path.read_text()))


@each_sample
def test_begins_with_a_comment_for_the_user(path: Path):
    assert path.read_text().startswith("# ")


def test_together_they_show_every_mode_and_device_and_can_all_be_applied():
    models = [model_of(load(path)) for path in SAMPLES]

    assert {model.spec.autoscaling.mode for model in models} == set(AutoscalingMode)
    assert {model.spec.device for model in models} == set(Device)
    assert len({model.metadata.name for model in models}) == len(models)


def test_the_sample_of_a_shop_assistant_is_valid_and_names_the_config_maps_of_its_comment():
    manifest = load(ASSISTANT)
    spec = ShopAssistant.model_validate({**manifest, "metadata": {"name": "shop", "namespace": "default"}}).spec
    commands = re.findall(r"kubectl create configmap (\S+) --from-file=(\S+)", ASSISTANT.read_text())

    assert [source.config_map for source in spec.knowledge] == ["shop-policies", "shop-catalogue", "shop-replies"]
    assert {name for name, _ in commands} == {source.config_map for source in spec.knowledge}
    assert all((ROOT / file).is_file() for _, file in commands)
    assert spec.model.chat_model == load(ROOT / "manifests/samples/cpu-smollm2.yaml")["metadata"]["name"]
