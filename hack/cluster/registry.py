"""The local registry: pushed to on loopback, pulled from inside the cluster.

Beside `kind load` it makes a change of code cheap: only changed layers move.
"""

import http.client
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.base_image import BaseImages, build_image
from hack.cluster.commands import Commands
from hack.cluster.content import build_context, key_of
from hack.cluster.docker import image_exists
from hack.cluster.errors import CommandFailedError
from hack.cluster.kind import Cluster, write_in_node
from hack.cluster.places import Places

CONTAINER = "chatscale-registry"
PORT = 5001
PUSH_HOST = f"127.0.0.1:{PORT}"
"""Docker allows plain HTTP to loopback without being told."""
PULL_HOST = f"registry.local:{PORT}"
"""The registry's name in pod specs; only containerd in the nodes resolves it."""
HUB_IMAGE = "registry:2"
"""Used where it can be pulled; also what tells whether a registry can be reached at all."""
MANIFEST_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json"
)
CONFIG = f"""\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: /var/lib/registry}}
  delete: {{enabled: true}}
http: {{addr: ":{PORT}"}}
"""
KEPT_VERSIONS = 10
"""Of each image: somebody's test may still start pods of a former one."""
START_DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry's container, on kind's network."""

    places: Places

    def image(self, bases: BaseImages | None) -> str:
        """Name the image by what it is made of."""
        base = HUB_IMAGE if bases is None else bases.debian
        return f"chatscale/registry:{key_of(base, *(str(content) for _, content in self._files(bases)))}"

    def _files(self, bases: BaseImages | None) -> list[tuple[str, Path | str]]:
        """List the build context: the published image where that can be pulled, otherwise Debian's package."""
        if bases is None:
            recipe = f'FROM {HUB_IMAGE}\nCOPY config.yml /config.yml\nCMD ["/config.yml"]\n'
            return [("Dockerfile", recipe), ("config.yml", CONFIG)]
        recipe = (self.places.hack / "images" / "registry" / "Dockerfile").read_text(encoding="utf-8")
        return [("Dockerfile", recipe), ("config.yml", CONFIG), *bases.apt_files.items()]

    def ensure_image(self, commands: Commands, bases: BaseImages | None) -> str:
        """Make the image: the registry's program and our configuration."""
        tag = self.image(bases)
        if not image_exists(commands, tag):
            arguments = {} if bases is None else {"DEBIAN": bases.debian}
            build_image(commands, tag, build_context(self._files(bases)), arguments)
        return tag

    def ensure(self, commands: Commands, image: str, cluster: Cluster) -> None:
        """Run the registry and tell every node where it is (2 s); kind's network must exist."""
        shown = "{{.Config.Image}} {{.State.Running}}"
        try:
            found = commands.read("docker", "inspect", "--type=container", "--format", shown, CONTAINER).split()
        except CommandFailedError:
            found = []
        if found != [image, "true"]:
            self.remove(commands)
            self.places.registry_data.mkdir(parents=True, exist_ok=True)
            commands.run(
                "docker", "run", "--detach", "--name", CONTAINER, "--network", "kind", "--restart=always",
                "--publish", f"{PUSH_HOST}:{PORT}", "--volume", f"{self.places.registry_data}:/var/lib/registry", image,
            )  # fmt: skip
        commands.wait_until(self.answers, f"the registry at {PUSH_HOST}", START_DEADLINE_S, every_s=0.2)
        hosts = f'[host."http://{CONTAINER}:{PORT}"]\n  capabilities = ["pull", "resolve"]\n'
        for node in cluster.nodes(commands):
            write_in_node(commands, node, f"/etc/containerd/certs.d/{PULL_HOST}/hosts.toml", hosts)

    def remove(self, commands: Commands) -> None:
        """Remove the container; its data stays."""
        commands.succeeds("docker", "rm", "--force", "--volumes", CONTAINER)

    def forget_former(self, commands: Commands, repositories: Iterable[str]) -> None:
        """Delete all but the KEPT_VERSIONS newest of each image, and the layers that only those had."""
        store = self.places.registry_data / "docker" / "registry" / "v2" / "repositories"
        former = [tag for name in repositories for tag in former_tags(store / name / "_manifests" / "tags")]
        for tag in former:
            shutil.rmtree(tag)
        if former:
            collect = ("registry", "garbage-collect", "--delete-untagged", "/config.yml")
            commands.run("docker", "exec", CONTAINER, *collect, deadline_s=300)

    def answers(self) -> bool:
        """Tell whether it can be pushed to."""
        return _status_of("/v2/") == http.HTTPStatus.OK

    def has(self, repository: str, tag: str) -> bool:
        """Tell whether an image was pushed."""
        return _status_of(f"/v2/{repository}/manifests/{tag}") == http.HTTPStatus.OK


def former_tags(folder: Path, keep: int = KEPT_VERSIONS) -> list[Path]:
    """List the folders of all tags but the newest, by the time of their push."""
    if not folder.is_dir():
        return []
    pushed = sorted(folder.iterdir(), key=lambda tag: (tag / "current" / "link").stat().st_mtime, reverse=True)
    return pushed[keep:]


def _status_of(path: str) -> int:
    """Ask the registry; return the status, 0 where nothing answers.

    Straight to loopback: urllib would go through a proxy from the environment.
    """
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
    try:
        connection.request("HEAD", path, headers={"Accept": MANIFEST_TYPES})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
