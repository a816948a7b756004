"""YAML in the documents can be applied as it stands: the fields exist, the values are allowed."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatscale.api.v1alpha1 import KIND, ChatModel
from chatscale.api.v1alpha1.shopassistant import ShopAssistant
from chatscale_cli.keys.options import add_options as add_key_options
from chatscale_cli.usage.options import add_options as add_usage_options
from chatscale_contract.gateway.key_secret import parse_key_data
from chatscale_contract.gateway.keys import KEY_LABEL, KEY_LABEL_VALUE
from chatscale_simulator.options import add_options
from hack.paths import ROOT
from tests.contract.test_samples import unknown_fields

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs/guide").rglob("*.md"))]
BLOCK = re.compile(r"(?ms)^(?P<indent> *)```yaml\n(?P<text>.*?)^(?P=indent)```$")


def manifests(path: Path) -> list[dict[str, Any]]:
    """Each document of each YAML block; the ones of the examples folder stand in files of their own."""
    texts = [match["text"] for match in BLOCK.finditer(path.read_text())]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def chatmodels() -> list[Any]:
    """Whole ChatModels, and excerpts that begin with `spec:` and lack what the excerpt is not about."""
    found = [(path.name, manifest) for path in DOCUMENTS for manifest in manifests(path)]
    files = sorted((ROOT / "docs/guide/examples").glob("*.yaml"))
    found += [(path.name, yaml.safe_load(path.read_text())) for path in files]
    whole = [pair for pair in found if pair[1].get("kind") == KIND]
    excerpts = [pair for pair in found if set(pair[1]) == {"spec"}]
    return [pytest.param(manifest, id=f"{name}-{n}") for n, (name, manifest) in enumerate(whole + excerpts)]


@pytest.mark.parametrize("manifest", chatmodels())
def test_a_chatmodel_in_a_document_is_valid(manifest: dict[str, Any], spec_schema: dict[str, Any]):
    spec = {"model": {"uri": "hf://owner/name"}, **manifest["spec"]}

    assert unknown_fields(spec, spec_schema, "spec") == []
    ChatModel.model_validate({"metadata": {"name": "shop", "namespace": "default"}, "spec": spec})


def assistants() -> list[Any]:
    found = [(path.name, manifest) for path in DOCUMENTS for manifest in manifests(path)]
    whole = [pair for pair in found if pair[1].get("kind") == "ShopAssistant"]
    return [pytest.param(manifest, id=f"{name}-{n}") for n, (name, manifest) in enumerate(whole)]


@pytest.mark.parametrize("manifest", assistants())
def test_a_shop_assistant_in_a_document_is_valid(manifest: dict[str, Any]):
    ShopAssistant.model_validate({"metadata": {"name": "shop", "namespace": "shop"}, "spec": manifest["spec"]})


def test_there_are_examples_to_check():
    assert len(assistants()) > 2
    assert len(chatmodels()) > 10


def simulate_commands() -> list[Any]:
    """The `chatscale simulate` lines of `sh` blocks, as a shell splits them, without comments."""
    shell = re.compile(r"(?ms)^```sh\n(.*?)^```$")
    found = []
    for path in DOCUMENTS:
        for block in shell.findall(path.read_text()):
            lines = block.replace("\\\n", " ").splitlines()
            found += [shlex.split(line, comments=True) for line in lines if line.startswith("chatscale simulate")]
    return [pytest.param(words[2:], id=" ".join(words[2:5])) for words in found]


@pytest.mark.parametrize("words", simulate_commands())
def test_a_simulate_command_in_a_document_is_understood_and_names_files_that_exist(words: list[str]):
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_args(words)

    assert [path for path in [*options.trace, options.chatmodel] if not (ROOT / path).is_file()] == []


def key_commands() -> list[Any]:
    """The `chatscale key` commands of blocks and of inline code, as a shell splits them."""
    command = re.compile(r"chatscale key ((?:create|rotate|revoke|list) [^)`#\n]*)")
    found = [shlex.split(words) for path in DOCUMENTS for words in command.findall(path.read_text())]
    return [pytest.param(words, id=" ".join(words)) for words in found]


@pytest.mark.parametrize("words", key_commands())
def test_a_key_command_in_a_document_is_understood(words: list[str]):
    parser = argparse.ArgumentParser()
    add_key_options(parser)
    parser.parse_args(words)


def test_there_are_key_commands_to_check():
    assert {words.values[0][0] for words in key_commands()} == {"create", "rotate", "revoke", "list"}


def usage_commands() -> list[Any]:
    """The `chatscale usage` commands of blocks, as a shell splits them."""
    command = re.compile(r"(?m)^(?:.*\| )?chatscale usage (-.*)$")
    found = [shlex.split(words) for path in DOCUMENTS for words in command.findall(path.read_text())]
    return [pytest.param(words, id=" ".join(words)) for words in found]


@pytest.mark.parametrize("words", usage_commands())
def test_a_usage_command_in_a_document_is_understood(words: list[str]):
    parser = argparse.ArgumentParser()
    add_usage_options(parser)
    parser.parse_args(words)


def test_there_are_usage_commands_to_check():
    assert len(usage_commands()) >= 3


@pytest.mark.parametrize(
    "manifest", [found for path in DOCUMENTS for found in manifests(path) if found.get("kind") == "Secret"]
)
def test_a_key_in_a_document_is_one(manifest: dict[str, Any]):
    assert manifest["metadata"]["labels"] == {KEY_LABEL: KEY_LABEL_VALUE}
    parse_key_data(manifest["stringData"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_metric_that_a_document_names_exists(path: Path):
    known = set(re.findall(r"(?m)^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text()))
    packages = {package.name for package in ROOT.glob("*/chatscale_*")}
    named = set(re.findall(r"\b(?:inference|chatscale)_[a-z_]+\b", path.read_text()))

    assert named - known - packages - {"inference_server"} == set()
