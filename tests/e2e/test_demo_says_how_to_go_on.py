"""Promise: a new user gets from `make demo` to a chat in the browser by following what it prints."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from hack import kube
from hack.demo.__main__ import next_steps
from hack.demo.next_steps import addresses_in, commands_in
from hack.keys import status_of
from hack.paths import ROOT
from tests.browser.tab import a_chromium
from tests.e2e.support import Model, autoscaling, gateway_url

TIMEOUT_MS = 60_000
SHELL_S = 180.0
FORWARD_S = 30.0
NOT_HERE = ("ssh ", "make clean-cluster")
"""Another machine, and the end of the cluster."""


def in_a_shell(*commands: str, home: Path) -> str:
    """What one shell prints for the commands, in the folder of the repository."""
    kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail"], input="\n".join(commands), cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=SHELL_S, env={**os.environ, "HOME": str(home), "KUBECONFIG": kubeconfig},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def running(command: str, url: str) -> Iterator[None]:
    """A command that goes on until it is stopped; `url` answers while it runs."""
    process = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        kube.wait_for(f"{url} answers", lambda: status_of(url, None, "/") == 200, FORWARD_S, every_s=0.2)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(not Path(ROOT / ".venv/bin/chatscale").exists(), reason="the text names .venv/bin/chatscale")
async def test_every_command_and_every_address_works_as_printed(
    make_model: Callable[..., Model], port_8080: None, tmp_path: Path
) -> None:
    make_model("assistant", autoscaling={"mode": "Fixed"}, replicas=1).wait_ready(1)
    waking = make_model("shop", autoscaling=autoscaling(scaleToZero={"idleSeconds": 600}), replicas=0)
    steps = replace(next_steps(gateway_url()), namespace=waking.namespace)
    text = steps.text()
    commands = [each for each in commands_in(text) if not each.startswith(NOT_HERE)]
    create, *others = commands
    assert create.startswith("KEY=")
    forward = next(each for each in others if " port-forward " in each)
    chat = next(each for each in others if " chat " in each)
    rest = [each for each in others if each not in {forward, chat}]

    key = in_a_shell(create, home=tmp_path).strip()
    addresses = addresses_in(text)
    kube.wait_for("the gateway accepts the key", lambda: status_of(steps.base_url, key) == 200, 60)

    async with a_chromium() as browser:
        with running(forward, addresses[-1].rstrip("/")):
            for address in addresses:
                page = await browser.new_page()
                page.set_default_timeout(TIMEOUT_MS)
                await page.goto(address)
                await page.fill("#key-input", key)
                await page.click("text=Use key")
                if address.endswith("/live"):
                    await expect(page.locator("#models")).to_contain_text(steps.waking_model)
                else:
                    await page.select_option("#model", steps.waking_model)
                    await page.fill("#question", "Where is my parcel?")
                    await page.press("#question", "Enter")
                    await page.locator("#send").wait_for()
                    await expect(page.locator(".assistant .body")).not_to_be_empty()
                    await expect(page.locator(".problem")).to_have_count(0)
                await page.close()

    said = in_a_shell(f"KEY={key}", f"echo 'Where is my parcel?' | {chat}", *rest, home=tmp_path)
    assert "Thank you" in said
    assert "data: [DONE]" in said
    assert "Name:         shop" in said
