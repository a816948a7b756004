"""`python -m hack.guide_check`: follow docs/guide/install.md, as it stands, on a second, plain kind cluster.

Every `sh` block of the page runs in one shell and in order, with a kubeconfig of its own, so neither the user's
context nor the cluster of the tests is touched. The cluster is deleted at the end, whatever happened. Needs what
`make cluster` provides: kind, kubectl, helm, and the node image of its cluster.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster.network import CONFLIST, POD_RANGE, parse_nodes, render_conflist, routing_script
from hack.paths import ROOT, cache_dir

GUIDE: Final = ROOT / "docs" / "guide" / "install.md"
CLUSTER: Final = "chatscale-guide"
"""The name that the guide itself uses."""
NODE: Final = f"{CLUSTER}-control-plane"
TEST_NODE: Final = "chatscale-control-plane"
"""The node of `make cluster`, whose image this cluster is made from too."""
OWN_NODE_IMAGES: Final = "chatscale/node:"
"""Node images that the bring-up makes where no registry can be reached: without a network plugin."""
PUBLIC_BASE: Final = "python:3.12-slim"
"""BASE_IMAGE of our Dockerfiles when nobody sets another."""
LOCAL_BASES: Final = "chatscale/base"
BUILT: Final = ("registry.example.com/chatscale/*", "chatscale-simulated-base")
"""References of the images that the guide builds; their tags are removed at the end."""
FOLLOW_DEADLINE_S: Final = 1800.0
STEP_DEADLINE_S: Final = 300.0
_BLOCK: Final = re.compile(r"(?ms)^```sh\n(?P<text>.*?)^```$")


class GuideError(Exception):
    """The guide cannot be followed here; the message says what is missing or which block failed."""


@dataclass(frozen=True, slots=True)
class Block:
    """One `sh` block of a page."""

    line: int
    """Where its first command stands, counted from 1."""
    text: str


def shell_blocks(page: str) -> list[Block]:
    """The blocks that are run, in order; those marked `console` are not among them."""
    return [Block(page.count("\n", 0, m.start("text")) + 1, m["text"]) for m in _BLOCK.finditer(page)]


def as_script(blocks: list[Block], page: str = GUIDE.name) -> str:
    """One bash script of all blocks: stops at the first command that fails, and announces each block with its line."""
    parts = [f"echo '== {page} line {block.line}'\n{block.text}" for block in blocks]
    return "set -euo pipefail\n" + "\n".join(parts)


def cluster_config(node_image: str) -> str:
    """Write kind's configuration; a node image of ours has no network plugin, and gets a bridge instead."""
    own_network = "true" if node_image.startswith(OWN_NODE_IMAGES) else "false"
    return (
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
        f"networking: {{disableDefaultCNI: {own_network}, podSubnet: {POD_RANGE}}}\n"
    )


def main() -> int:
    """Follow the guide; 1 with a readable line if it cannot be followed or a block failed."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                **os.environ,
                "PATH": f"{cache_dir() / 'bin'}:{os.environ['PATH']}",
                "KUBECONFIG": str(Path(folder) / "kubeconfig"),
            }
            with _second_cluster(environment), _without_leftovers(environment), _base_image(environment):
                _follow(shell_blocks(GUIDE.read_text(encoding="utf-8")), environment)
    except (GuideError, OSError, subprocess.SubprocessError) as error:
        print(f"hack.guide_check: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("docs/guide/install.md was followed to its end", flush=True)
    return 0


def _follow(blocks: list[Block], environment: dict[str, str]) -> None:
    """Run the script in a process group of its own, so that a port-forward does not outlive a failed block."""
    print(f"following {len(blocks)} blocks of {GUIDE.relative_to(ROOT)}", flush=True)
    shell = subprocess.Popen(["bash", "-c", as_script(blocks)], cwd=ROOT, env=environment, start_new_session=True)
    try:
        code = shell.wait(timeout=FOLLOW_DEADLINE_S)
    finally:
        _end_group(shell.pid)
    if code != 0:
        raise GuideError(f"the block above failed with exit code {code}")


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


@contextmanager
def _second_cluster(environment: dict[str, str]) -> Iterator[None]:
    image = _node_image(environment)
    print(f"creating kind cluster {CLUSTER} from {image}", flush=True)
    _run(["kind", "delete", "cluster", "--name", CLUSTER], environment)
    create = ["kind", "create", "cluster", "--name", CLUSTER, "--image", image, "--config", "-"]
    try:
        _run(create, environment, stdin=cluster_config(image), deadline_s=600)
        if image.startswith(OWN_NODE_IMAGES):
            _connect_pods(environment)
        _run(["kubectl", "wait", "node", "--all", "--for=condition=Ready", "--timeout=120s"], environment)
        yield
    finally:
        print(f"deleting kind cluster {CLUSTER}", flush=True)
        _run(["kind", "delete", "cluster", "--name", CLUSTER], environment)


def _connect_pods(environment: dict[str, str]) -> None:
    """Give the one node its pod network, as the bring-up does for the cluster of the tests."""
    has_range = "--for=jsonpath={.spec.podCIDR}"
    _run(["kubectl", "wait", f"node/{NODE}", has_range, "--timeout=60s"], environment)
    nodes = parse_nodes(_run(["kubectl", "get", "nodes", "-o", "json"], environment))
    write = f"mkdir -p {Path(CONFLIST).parent} && cat > {CONFLIST}"
    _run(["docker", "exec", "-i", NODE, "sh", "-c", write], environment, stdin=render_conflist(nodes[0].pod_cidr))
    _run(["docker", "exec", NODE, "sh", "-ec", routing_script(nodes[0], nodes)], environment)


@contextmanager
def _base_image(environment: dict[str, str]) -> Iterator[None]:
    """Have our Dockerfiles' base image: pulled, or the bring-up's own under its name for as long as this runs."""
    if _succeeds(["docker", "image", "inspect", PUBLIC_BASE]) or _succeeds(["docker", "pull", PUBLIC_BASE]):
        yield
        return
    listed = _run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", LOCAL_BASES], environment).split()
    if not listed:
        raise GuideError(f"{PUBLIC_BASE} cannot be pulled and there is no image {LOCAL_BASES}: run `make images` first")
    _run(["docker", "tag", listed[0], PUBLIC_BASE], environment)
    try:
        yield
    finally:
        _run(["docker", "rmi", "--no-prune", PUBLIC_BASE], environment)


@contextmanager
def _without_leftovers(environment: dict[str, str]) -> Iterator[None]:
    """Remove the tags of the guide's images at the end; layers that other images share stay."""
    try:
        yield
    finally:
        filters = [f"--filter=reference={reference}" for reference in BUILT]
        listed = _run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", *filters], environment).split()
        if listed:
            _run(["docker", "rmi", "--no-prune", *listed], environment)


def _node_image(environment: dict[str, str]) -> str:
    found = ["docker", "inspect", "--format", "{{.Config.Image}}", TEST_NODE]
    try:
        return _run(found, environment).strip()
    except GuideError as error:
        raise GuideError(f"there is no container {TEST_NODE}: run `make cluster` first") from error


def _run(
    command: list[str], environment: dict[str, str], stdin: str | None = None, deadline_s: float = STEP_DEADLINE_S
) -> str:
    """Run one command and return what it printed. GuideError with its words if it fails."""
    done = subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, timeout=deadline_s, check=False
    )
    if done.returncode != 0:
        raise GuideError(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=STEP_DEADLINE_S, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
