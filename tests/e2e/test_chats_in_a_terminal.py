"""Promise: `chatscale chat` finds the gateway through the kubeconfig, with a port-forward of its own.

`kubectl chatmodel` is the same program, started by kubectl.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hack import keys
from hack.kube import CONTEXT
from hack.paths import cache_dir
from tests.e2e.support import Model, gateway_key, gateway_url
from tests.support.terminal import in_a_terminal

AT_A_TIME = 4


def environment(folder: Path) -> dict[str, str]:
    kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    return {
        "PATH": f"{cache_dir() / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(folder), "KUBECONFIG": kubeconfig, "CHATSCALE_API_KEY": gateway_key(), "PYTHONUTF8": "1",
    }  # fmt: skip


def in_a_pipe(text: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chatscale_cli", *arguments, "--context", CONTEXT],
        input=text, capture_output=True, text=True, timeout=120, check=False, env=environment(folder),
    )  # fmt: skip


def test_answers_in_pipes_through_port_forwards_at_a_time(make_model: Callable[..., Model], tmp_path: Path) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1)
    model.wait_ready(1)
    name = f"{model.namespace}/{model.name}"

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        runs = [
            pool.submit(in_a_pipe, "Where is my parcel?", "chat", name, "--max-tokens", "20", folder=tmp_path)
            for _ in range(AT_A_TIME)
        ]
    for done in (run.result() for run in runs):
        assert (done.returncode, len(done.stdout.split()) > 3) == (0, True), done.stderr

    unknown = in_a_pipe("hi", "chat", f"{model.namespace}/nobody", folder=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (69, "")
    assert "unknown model" in unknown.stderr


def answered(text: str, question: str) -> bool:
    """True if more than eight words follow the question. The terminal shows the question again as it is typed."""
    _, found, answer = text.rpartition(question)
    return bool(found) and len(answer.split()) > 8


async def test_a_conversation_on_a_terminal(make_model: Callable[..., Model], tmp_path: Path) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1)
    model.wait_ready(1)
    name = f"{model.namespace}/{model.name}"
    arguments = ["chatscale_cli", "chat", name, "--max-tokens", "40", "--context", CONTEXT]

    async with in_a_terminal(*arguments, env=environment(tmp_path)) as terminal:
        await terminal.shows(f"{name}>")
        for question in ("Where is my parcel?", "And my invoice?"):
            terminal.enter(question)
            # What the Simulated engine says depends on the conversation.
            await terminal.until(lambda asked=question: answered(terminal.text, asked), f"answer to {question}")
            await terminal.prompts(f"{name}>")
        terminal.enter("/exit")
        assert await terminal.ends() == 0


def kubectl_chatmodel(*arguments: str, text: str = "", folder: Path) -> subprocess.CompletedProcess[str]:
    """kubectl finds the program of this environment on PATH."""
    variables = environment(folder)
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    return subprocess.run(
        ["kubectl", "chatmodel", *arguments], input=text, capture_output=True, text=True, timeout=120, check=False,
        env=variables,
    )  # fmt: skip


def test_kubectl_runs_the_same_commands_as_its_plugin(make_model: Callable[..., Model], tmp_path: Path) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1)
    model.wait_ready(1)
    name = f"{model.namespace}/{model.name}"

    answer = kubectl_chatmodel(
        "chat", name, "--max-tokens", "20", "--context", CONTEXT, text="Where is my parcel?", folder=tmp_path
    )
    assert (answer.returncode, len(answer.stdout.split()) > 3) == (0, True), answer.stderr

    created = kubectl_chatmodel(
        "key", "create", "plugin", "--live", "-n", model.namespace, "--context", CONTEXT, folder=tmp_path
    )
    assert created.returncode == 0, created.stderr
    listed = kubectl_chatmodel("key", "list", "-n", model.namespace, "--context", CONTEXT, folder=tmp_path)
    assert "plugin" in listed.stdout, listed.stderr
    keys.wait_until_accepted(gateway_url(), created.stdout.strip())
    key_file = tmp_path / "key"
    key_file.write_text(created.stdout)
    status = kubectl_chatmodel("status", "--key-file", str(key_file), "--context", CONTEXT, folder=tmp_path)
    assert status.returncode == 0, status.stderr
    assert model.name in status.stdout
    wrong = kubectl_chatmodel("chat", f"{model.namespace}/nobody", "--context", CONTEXT, text="hi", folder=tmp_path)
    assert wrong.returncode != 0
    assert "unknown model" in wrong.stderr
