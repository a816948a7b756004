"""Base images for a machine that reaches no registry: Debian, and Debian with Python."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.apt_sources import Source, sources_of_this_machine
from hack.cluster.commands import Commands
from hack.cluster.content import build_context, key_of
from hack.cluster.docker import SYSTEM_PATH, image_exists, install_packages
from hack.cluster.errors import BringUpError
from hack.cluster.places import Places

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class BaseImages:
    """The two images, named by a key of what they are made of."""

    places: Places
    codename: str
    sources: list[Source]
    pip_conf: str

    @property
    def debian(self) -> str:
        """The bare system."""
        return f"chatscale/debian:{self.codename}-{key_of(self.sources[0].uri)}"

    @property
    def python(self) -> str:
        """The system with Python, pip and venv."""
        return f"chatscale/base:{self.codename}-{key_of(self.debian, self._recipe, *map(str, self._files.values()))}"

    @property
    def _recipe(self) -> str:
        return (self.places.hack / "images" / "base" / "Dockerfile").read_text(encoding="utf-8")

    @property
    def _files(self) -> dict[str, str]:
        return {**self.apt_files, "pip.conf": self.pip_conf}

    @property
    def apt_files(self) -> dict[str, str]:
        """What an image needs for `apt-get install` to work as it does on this machine."""
        return {
            "sources.list": "".join(f"{line}\n" for source in self.sources for line in source.lines()),
            "ca-certificates.crt": CA_BUNDLE.read_text(encoding="utf-8") if CA_BUNDLE.is_file() else "",
        }

    def ensure_debian(self, commands: Commands) -> None:
        """Make the bare system with debootstrap (45 s)."""
        if image_exists(commands, self.debian):
            return
        if shutil.which("debootstrap", path=f"{SYSTEM_PATH}:/usr/bin:/bin") is None:
            install_packages(commands, ["debootstrap"])
        root = self.places.cache / "debootstrap"
        archive = root.with_suffix(".tar")
        shutil.rmtree(root, ignore_errors=True)
        commands.run(
            "debootstrap", "--variant=minbase", "--include=ca-certificates",
            self.codename, root, self.sources[0].uri,
            env={"PATH": f"{SYSTEM_PATH}:/usr/bin:/bin"},
        )  # fmt: skip
        commands.run("tar", "-C", root, "--exclude=./var/cache/apt/*", "--exclude=./dev/*", "-cf", archive, ".")
        commands.run("docker", "import", "--change", 'CMD ["bash"]', archive, self.debian)
        shutil.rmtree(root)
        archive.unlink()

    def ensure_python(self, commands: Commands) -> None:
        """Make the image that ours are built from (30 s)."""
        if image_exists(commands, self.python):
            return
        context = build_context([("Dockerfile", self._recipe), *self._files.items()])
        build_image(commands, self.python, context, {"DEBIAN": self.debian})


def base_images(commands: Commands, places: Places) -> BaseImages:
    """Find out where packages come from on this machine."""
    codename, sources = sources_of_this_machine()
    index = ""
    for setting in ("index-url", "extra-index-url"):
        try:
            value = commands.read(sys.executable, "-m", "pip", "config", "get", f"global.{setting}").strip()
        except BringUpError:
            continue
        index += f"{setting} = {value}\n"
    return BaseImages(places, codename, sources, pip_conf=f"[global]\ncert = {CA_BUNDLE}\n{index}")


def build_image(
    commands: Commands, tag: str, context: bytes, arguments: dict[str, str], dockerfile: str = "Dockerfile"
) -> None:
    """Run `docker build` on a packed context, on the host's network so that its name server and proxy work."""
    options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    # Without a value: taken from our environment where it is set there.
    options += [word for name in PROXY_VARIABLES for word in ("--build-arg", name)]
    try:
        commands.run("docker", "build", "--network=host", "-t", tag, "-f", dockerfile, *options, "-", stdin=context)
    except BringUpError as error:
        log = commands.log.read_text(encoding="utf-8", errors="replace")
        if "CERTIFICATE_VERIFY_FAILED" in log or "certificate verify failed" in log:
            raise BringUpError(
                f"{error}\nA download inside the image did not trust the server's certificate: behind a proxy with a "
                f"CA of its own, add that CA to {CA_BUNDLE} (update-ca-certificates) and run again."
            ) from error
        raise
