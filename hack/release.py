"""`python -m hack.release`: build and push the images of a tag, package the chart, write the release notes.

Needs docker (with or without BuildKit), helm, and a login to the registry; .github/workflows/release.yaml provides
them. Writes the chart's .tgz and notes.md to dist/. docs/release.md describes the whole procedure.
"""

import argparse
import re
import subprocess
import sys

from chatscale import __version__
from hack.cluster.images import IMAGES, Image
from hack.helm import CHART, HelmError, helm
from hack.paths import ROOT

DIST = ROOT / "dist"


class ReleaseError(Exception):
    """The release cannot be made; the message says what to correct."""


def check_tag(tag: str) -> None:
    """Raise ReleaseError unless the tag names the version of the package; a test compares package and chart."""
    if tag != f"v{__version__}":
        raise ReleaseError(f"tag {tag} does not fit: operator/chatscale/__init__.py says {__version__}")


def reference(image: Image, registry: str) -> str:
    """Return the published name; the tag of every image is the version of the release."""
    return f"{registry}/{image.name}:{__version__}"


def push_images(registry: str) -> None:
    """Build and push all images, each after its base image."""
    by_name = {image.name: image for image in IMAGES}
    for image in IMAGES:
        arguments = dict(image.arguments)
        if image.made_from is not None:
            argument, parent = image.made_from
            arguments[argument] = reference(by_name[parent], registry)
        flags = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        target = reference(image, registry)
        print(f"building {target}", flush=True)
        subprocess.run(["docker", "build", "-f", image.dockerfile, "-t", target, *flags, "."], cwd=ROOT, check=True)
        if not image.is_base:
            subprocess.run(["docker", "push", target], check=True)


def package_chart() -> None:
    """Write dist/chatscale-VERSION.tgz."""
    print(helm("package", str(CHART), "--destination", str(DIST)).strip())


def notes(changelog: str, registry: str) -> str:
    """Return the changelog of this version and the command to install it. ReleaseError if the changelog has none."""
    head = re.escape(__version__)
    found = re.search(rf"(?ms)^## \[?{head}\]?[^\n]*\n(?P<body>.*?)(?=^## |\Z)", changelog)
    if found is None:
        raise ReleaseError(f"CHANGELOG.md has no part `## {__version__}`")
    return f"{found['body'].strip()}\n\n{_INSTALL.format(version=__version__, registry=registry)}"


def main(argv: list[str] | None = None) -> int:
    """Make the release. Returns 1, after one readable line on stderr, if that fails."""
    parser = argparse.ArgumentParser(prog="python -m hack.release", description=__doc__)
    parser.add_argument("--tag", required=True, help="the Git tag, such as v1.2.3")
    parser.add_argument("--registry", required=True, help="where images go, such as ghcr.io/owner/chatscale")
    options = parser.parse_args(argv)
    registry = options.registry.lower().rstrip("/")
    try:
        check_tag(options.tag)
        DIST.mkdir(exist_ok=True)
        text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), registry)
        (DIST / "notes.md").write_text(text, encoding="utf-8")
        package_chart()
        push_images(registry)
    except (ReleaseError, HelmError, OSError, subprocess.CalledProcessError) as error:
        print(f"hack.release: {error}", file=sys.stderr)
        return 1
    return 0


_INSTALL = """\
## Install

```sh
helm upgrade --install chatscale chatscale-{version}.tgz --namespace chatscale-system --create-namespace --wait \\
  --set operator.image.repository={registry}/operator --set gateway.image.repository={registry}/gateway \\
  --set server.image={registry}/server:{version} \\
  --set server.simulatedImage={registry}/server-simulated:{version} \\
  --set assistant.image={registry}/assistant:{version}
```
"""

if __name__ == "__main__":
    sys.exit(main())
