"""The kind node image, made from Debian packages and what was built from Go modules.

`kind build node-image` wants a base image and three more from a registry;
this does the same steps without one: kind's own files over Debian, the
control plane's images into the node's containerd, `docker commit`.
"""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.base_image import BaseImages, build_image
from hack.cluster.commands import Commands
from hack.cluster.content import build_context, files_below, key_of, key_of_files
from hack.cluster.docker import image_exists
from hack.cluster.places import Places
from hack.cluster.toolchain import COREDNS, ETCD, KIND, KUBECTL, KUBERNETES, KUBERNETES_PROGRAMS, PAUSE, Toolchain

PARTS = (KUBERNETES, KUBECTL, ETCD, COREDNS, PAUSE)
"""The programs in the image."""
ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
IMPORT_IMAGES = """\
set -e
nohup containerd > /tmp/containerd.log 2>&1 &
for _ in $(seq 100); do [ -S /run/containerd/containerd.sock ] && ctr version > /dev/null 2>&1 && break; sleep 0.2; done
ctr --namespace=k8s.io images import --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests -
kill %1
wait || true
rm -f /tmp/containerd.log
"""
"""Run in a node container: takes `docker save`'s archive on standard input."""


@dataclass(frozen=True, slots=True)
class NodeImage:
    """Builds the node image from what the other steps have made."""

    places: Places
    toolchain: Toolchain
    bases: BaseImages

    @property
    def packages_tag(self) -> str:
        """Debian's packages, before kind's files: without the Go builds, so made while those run."""
        return f"chatscale/node-base:{self._files_key}"

    @property
    def tag(self) -> str:
        """Name the image by its version and by all that it is made of."""
        built = [self.toolchain.key(part) for part in PARTS]
        return f"chatscale/node:{self.toolchain.version(KUBERNETES)}-{key_of(self._files_key, *built, IMPORT_IMAGES)}"

    @property
    def _files_key(self) -> str:
        images = self.places.hack / "images"
        files = [*files_below(images / "node"), *files_below(images / "kubernetes")]
        kind = self.toolchain.version(KIND)
        return key_of_files(images, files, self.bases.debian, *self.bases.apt_files.values(), kind)

    def ensure_packages(self, commands: Commands) -> None:
        """Install the node's packages and kind's node files (60 s)."""
        if image_exists(commands, self.packages_tag):
            return
        download = ("go", "mod", "download", "-json", KIND.module)
        module = json.loads(commands.read(*download, cwd=self.places.hack / "go", deadline_s=300))
        recipe = self.places.hack / "images" / "node"
        kind_files = Path(module["Dir"]) / "images" / "base" / "files"
        files: list[tuple[str, Path | str]] = [*self.bases.apt_files.items()]
        files += [(name, recipe / name) for name in ("Dockerfile", "prepare.sh")]
        files += [(f"files/{path.relative_to(kind_files)}", path) for path in files_below(kind_files)]
        context = build_context(files)
        build_image(commands, self.packages_tag, context, {"DEBIAN": self.bases.debian})

    def ensure(self, commands: Commands) -> None:
        """Put Kubernetes into it (60 s); its parts must be built."""
        if image_exists(commands, self.tag):
            return
        images = self._control_plane_images(commands)
        self._build_control_plane_images(commands, images)
        archive = self.places.cache / "control-plane.tar"
        commands.run("docker", "save", "-o", archive, *images)
        container = f"chatscale-node-build-{uuid.uuid4().hex[:8]}"
        try:
            commands.run(
                "docker", "run", "--detach", "--privileged", "--name", container, "--entrypoint=sleep",
                self.packages_tag, "infinity",
            )  # fmt: skip
            commands.say("importing the images into containerd")
            commands.run("docker", "exec", "-i", container, "bash", "-c", IMPORT_IMAGES, stdin=archive, deadline_s=300)
            for name, program in (("kubelet", "kubernetes"), ("kubectl", "kubectl")):
                commands.run("docker", "cp", self._binary(program), f"{container}:/usr/bin/{name}")
            commands.run("docker", "exec", container, "ln", "-s", "kubelet", "/usr/bin/kubeadm")
            version = self.toolchain.version(KUBERNETES)
            pause = next(image for image in images if "/pause:" in image)
            sandbox = f's#sandbox_image = .*#sandbox_image = "{pause}"#'
            commands.run("docker", "exec", container, "sed", "-i", sandbox, "/etc/containerd/config.toml")
            commands.run("docker", "exec", container, "sh", "-c", f"printf %s {version} > /kind/version")
            commands.say("committing")
            commands.run("docker", "commit", "--change", ENTRYPOINT, container, self.tag)
        finally:
            commands.succeeds("docker", "rm", "--force", container)
            archive.unlink(missing_ok=True)

    def _control_plane_images(self, commands: Commands) -> list[str]:
        """Ask kubeadm which tags it will look for."""
        version = self.toolchain.version(KUBERNETES)
        kubeadm = self.toolchain.built(KUBERNETES) / "kubeadm"
        listed = commands.read(kubeadm, "config", "images", "list", f"--kubernetes-version={version}")
        return listed.split()

    def _build_control_plane_images(self, commands: Commands, images: list[str]) -> None:
        """Build one image for all Kubernetes programs, under each of their names, and one for each other program."""
        kubernetes = ""
        for image in images:
            name = image.rpartition("/")[2].partition(":")[0]
            if name not in KUBERNETES_PROGRAMS:
                build_image(commands, image, single_program_context(name, self._binary(name)), {})
            elif kubernetes:
                commands.run("docker", "tag", kubernetes, image)
            else:
                kubernetes = image
                build_image(commands, image, self._kubernetes_context(), {"DEBIAN": self.bases.debian})

    def _kubernetes_context(self) -> bytes:
        recipe = self.places.hack / "images" / "kubernetes" / "Dockerfile"
        files: list[tuple[str, Path | str]] = [("Dockerfile", recipe), *self.bases.apt_files.items()]
        files += [(f"programs/{path.name}", path) for path in files_below(self.toolchain.built(KUBERNETES))]
        return build_context(files)

    def _binary(self, name: str) -> Path:
        part = next(part for part in PARTS if name in part.programs)
        return self.toolchain.built(part) / name


def single_program_context(name: str, binary: Path) -> bytes:
    """Pack an image that is one static program and nothing else."""
    dockerfile = f'FROM scratch\nCOPY {name} /usr/local/bin/{name}\nENTRYPOINT ["/usr/local/bin/{name}"]\n'
    return build_context([("Dockerfile", dockerfile), (name, binary)])
