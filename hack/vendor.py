"""Copy the libraries of the gateway's pages into the tree: `python -m hack.vendor`.

npm checks the integrity hashes of requirements/pages/package-lock.json. The pages need no build step, so the copies are
committed. `manifest.json` beside them has the version and the SHA-256 of each file; a unit test compares them.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hack.paths import ROOT

LOCKS: Final = ROOT / "requirements" / "pages"
TARGET: Final = ROOT / "gateway" / "chatscale_gateway" / "pages" / "files" / "assets" / "vendor"
FILES: Final = {
    "marked.js": ("marked", "lib/marked.esm.js"),
    "purify.js": ("dompurify", "dist/purify.min.js"),
    "uplot.js": ("uplot", "dist/uPlot.iife.min.js"),
    "uplot.css": ("uplot", "dist/uPlot.min.css"),
}
"""File in the tree: package, and file in the package."""
_LICENCES: Final = {"marked": "LICENSE", "dompurify": "LICENSE", "uplot": "LICENSE"}
_RULE: Final = "-" * 100


def locked_versions() -> dict[str, str]:
    """Version of each package in the lock file."""
    packages: dict[str, Any] = json.loads((LOCKS / "package-lock.json").read_text())["packages"]
    return {name: packages[f"node_modules/{name}"]["version"] for name in _LICENCES}


def copy_files(node_modules: Path) -> None:
    """Replace the copies, the manifest and the licences."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    versions = locked_versions()
    manifest = {}
    for name, (package, path) in FILES.items():
        # Without the link to the source map: it is not copied.
        lines = (node_modules / package / path).read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("//# sourceMappingURL="))
        (TARGET / name).write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        manifest[name] = {"package": package, "version": versions[package], "sha256": digest}
    (TARGET / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    parts = ["Libraries of the pages, from npm, unchanged but for links to source maps.\n"]
    for package, licence in _LICENCES.items():
        text = (node_modules / package / licence).read_text().strip()
        parts.append(f"{_RULE}\n{package} {versions[package]}\n{_RULE}\n{text}\n")
    (TARGET / "NOTICE").write_text("\n".join(parts))


def main() -> int:
    """Install the locked packages into a temporary folder, and copy."""
    if shutil.which("npm") is None:
        print("python -m hack.vendor needs npm", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKS / name, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
        copy_files(Path(folder) / "node_modules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
