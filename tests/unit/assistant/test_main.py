"""The process: exit codes, and a drain on SIGTERM."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from chatscale.api.v1alpha1.parse import InvalidSpecError
from chatscale_assistant.__main__ import read_resource
from chatscale_contract.sysexits import SysExit

PREFIX = "CHATSCALE_ASSISTANT_"
RESOURCE = {"metadata": {"name": "shop", "namespace": "demo"}, "spec": {"model": {"chatModel": "tiny"}}}


def start(folder: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chatscale_assistant"],
        env={**os.environ, **{PREFIX + name: value for name, value in variables.items()}},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip


def test_a_bad_setting_ends_the_process_with_one_line(tmp_path):
    process = start(tmp_path, PORT="0")
    _, errors = process.communicate(timeout=60)

    assert process.returncode == SysExit.BAD_SETTINGS
    assert errors == "chatscale-assistant: CHATSCALE_ASSISTANT_PORT must be a TCP port from 1 to 65535, found '0'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a ShopAssistant as JSON"),
        pytest.param("[" * 200_000, "expected a ShopAssistant as JSON", id="nested too deep"),
        ("[]", "expected an object with metadata and spec"),
        (json.dumps({**RESOURCE, "spec": {**RESOURCE["spec"], "languages": []}}), "ShopAssistant demo/shop: "),
    ],
)
def test_a_configuration_that_is_no_shop_assistant_is_named(tmp_path, text, message):
    file = tmp_path / "assistant.json"
    file.write_text(text)

    with pytest.raises(InvalidSpecError, match=message):
        read_resource(file)


def test_the_process_serves_and_ends_with_0_on_sigterm(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "assistant.json").write_text(json.dumps(RESOURCE))
    folders = {name: str(tmp_path / name.lower()) for name in ("KNOWLEDGE_FOLDER", "SECRETS_FOLDER", "INDEX_FOLDER")}
    process = start(tmp_path, PORT=str(port), CONFIG_FOLDER=str(tmp_path), DRAIN_DELAY_SECONDS="0", **folders)
    try:
        assert read(f"http://127.0.0.1:{port}/readyz", within_s=90) == "ready\n"
        state = json.loads(read(f"http://127.0.0.1:{port}/state", within_s=5))
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert state["model_message"] == "there is no evaluation report for spec.model.evaluation"
    assert '"event": "stopped"' in errors


def read(url: str, *, within_s: float) -> str:
    """The body of a 200, within a time."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                text: str = response.read().decode()
                return text
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
