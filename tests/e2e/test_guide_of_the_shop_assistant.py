"""Promise: docs/guide/shop-assistant.md takes a shop from its CSV file to a running assistant, command by command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack import kube
from hack.guide_check import as_script, shell_blocks
from hack.paths import ROOT, cache_dir

GUIDE = ROOT / "docs" / "guide" / "shop-assistant.md"
NAMESPACE = "shop"
WITHIN_S = 580
BEGIN = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
"""Ends the port-forward that the guide begins."""


@pytest.fixture
def clean_namespace(images: dict[str, str]) -> Iterator[None]:
    if "assistant" not in images:
        pytest.skip("no image of the assistant: run `make images`")
    remove = ("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=150s")
    kube.kubectl(*remove, timeout_s=160)
    yield
    kube.kubectl(*remove, timeout_s=160)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user whose current context is the cluster of the tests."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(kube.kubectl("config", "view", "--minify", "--flatten"))
    kubeconfig.chmod(0o600)
    path = f"{Path(sys.executable).parent}:{cache_dir() / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path, "HOME": str(tmp_path)}


def test_every_command_of_the_guide_works(clean_namespace: None, port_8080: None, environment: dict[str, str]) -> None:
    script = BEGIN + as_script(shell_blocks(GUIDE.read_text()), GUIDE.name)
    done = subprocess.run(
        ["bash"], input=script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )

    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    said = done.stdout
    assert "can be returned only if they are faulty" in said, "a question in English is answered from the policies"
    assert "24 months" in said, "a question in Chinese is answered from the policies"
    assert "4.90" in said, "a question in French is answered from the policies"
    assert "109.00" in said, "a question is answered from the catalogue"
    assert '"rung": "' in said
    assert '"citations": [' in said
