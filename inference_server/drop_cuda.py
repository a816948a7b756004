"""Delete the CUDA libraries that torch does not open on a machine without a GPU; run while an image is built.

PyPI's torch for Linux needs some of them to be imported at all: those stay.  The
others are opened by the first CUDA call, which a CPU never makes.  Which are
which is asked of the running process, not of a list that a new version breaks.
"""

import sys
from pathlib import Path

LIBRARY_SUFFIXES = (".a", ".bc", ".h", ".hpp", ".cuh")


def libraries_below(folder: Path) -> list[Path]:
    """List shared and static libraries and headers; Python files stay, as packages look each other up."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if ".so" in path.suffixes or path.suffix in LIBRARY_SUFFIXES]


def opened_by_this_process() -> set[Path]:
    """List the files mapped into memory, symbolic links followed."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return {Path(fields[5]) for line in lines if len(fields := line.split(maxsplit=5)) == 6}  # noqa: PLR2004  # columns


def main() -> None:
    """Import torch and delete what it did not open; whoever calls this checks that it can be imported again."""
    import torch

    torch.nn.Linear(4, 4)(torch.ones(2, 4))
    opened = opened_by_this_process()
    nvidia = Path(torch.__file__).resolve().parent.parent / "nvidia"
    unopened = [path for path in libraries_below(nvidia) if path not in opened]
    freed_bytes = sum(path.stat().st_size for path in unopened)
    for path in unopened:
        path.unlink()
    sys.stdout.write(f"deleted {len(unopened)} files, {freed_bytes / 1e9:.1f} GB\n")


if __name__ == "__main__":
    main()
