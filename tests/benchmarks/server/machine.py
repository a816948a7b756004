"""Where and on what the figures were taken."""

import compileall
import importlib.metadata
import os
import platform
import subprocess
import sysconfig
from datetime import UTC, datetime
from pathlib import Path

from hack.paths import ROOT

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "transformers", "aiohttp", "fastapi", "uvicorn")


def describe(device: str) -> list[tuple[str, str]]:
    """Rows of (what, which)."""
    cpu = _cpuinfo()
    known = set(cpu.get("flags", "").split())
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        ("CPU", f"{cpu.get('model name', platform.machine())}, {len(os.sched_getaffinity(0))} cores"),
        ("CPU flags", ", ".join(flag for flag in FLAGS if flag in known) or "none of " + ", ".join(FLAGS)),
        ("memory", f"{memory_gib:.0f} GiB"),
        *([("GPU", _gpu())] if device == "cuda" else []),
        ("Python", platform.python_version()),
        *((name, importlib.metadata.version(name)) for name in PACKAGES),
        ("date", datetime.now(tz=UTC).date().isoformat()),  # noqa: TID251 - the page says when it was made
        ("revision", _revision()),
    ]


def has_bfloat16() -> bool:
    """True if the CPU has instructions for bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & set(_cpuinfo().get("flags", "").split()))


def compile_bytecode() -> None:
    """As an image has it, for all that a peer may import; what is current already is left alone.

    Where PYTHONDONTWRITEBYTECODE is set, an environment that was installed without would be compiled anew by each
    start of each peer, and that would be what is measured.
    """
    for folder in (sysconfig.get_path("purelib"), ROOT / "inference_server"):
        # Some packages bring files that are no valid Python; nobody imports those.
        compileall.compile_dir(folder, quiet=2)


def load_average() -> float:
    """Of the last minute: what else went on."""
    return os.getloadavg()[0]


def processor_seconds() -> tuple[float, float]:
    """(all, idle) of this machine since it started."""
    ticks = [int(cell) for cell in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    per_s = os.sysconf("SC_CLK_TCK")
    return sum(ticks) / per_s, (ticks[3] + ticks[4]) / per_s


def _gpu() -> str:
    """Name, memory and driver, as the driver's own tool says them."""
    command = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().replace("\n", "; ")


def _cpuinfo() -> dict[str, str]:
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _revision() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
