"""Make `.venv` with the locked development dependencies; uv does the work and is fetched if missing.

Standard library only: this runs before anything is installed.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from hack.paths import ROOT, cache_dir

VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"


def find_uv() -> Path:
    """The uv program from PATH, or installed by pip into a virtual environment in the cache."""
    if found := shutil.which("uv"):
        return Path(found)
    home = cache_dir() / "uv"
    uv = home / "bin" / "uv"
    if not uv.exists():
        print("installing uv into", home, flush=True)
        if importlib.util.find_spec("ensurepip") is None:  # Debian's python3 comes without it
            subprocess.run(["apt-get", "update", "-q"], check=True)
            subprocess.run(["apt-get", "install", "-y", "-q", "python3-venv"], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", "uv"], check=True)
    return uv


def main() -> None:
    """Create or update the environment; prints uv's own progress."""
    uv = str(find_uv())
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([uv, "venv", "--python", sys.executable, str(VENV)], check=True)
    # Compiled once: where PYTHONDONTWRITEBYTECODE is set, each start of a server would compile torch anew, for 5 s.
    sync = [uv, "pip", "sync", "--python", str(python), "--compile-bytecode", "--require-hashes", str(LOCK)]
    subprocess.run(sync, check=True)
    subprocess.run([uv, "pip", "install", "--python", str(python), "--no-deps", "--editable", str(ROOT)], check=True)
    (VENV / ".synced").touch()


if __name__ == "__main__":
    main()
