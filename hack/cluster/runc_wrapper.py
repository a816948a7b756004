"""Stands in for runc where the machine lacks capabilities.

`docker run --privileged`, which kind needs, asks for every capability and
fails with "unable to apply caps" on a machine whose bounding set is short.
This drops what is missing from what runc is told, then becomes runc.

Copied to a file of its own and run by the Docker daemon for every container:
it imports nothing of this package, and starts fast.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

RUNC = "/usr/sbin/runc"
# Bit N of the kernel's capability masks is the N-th name (linux/capability.h).
_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = _NAMES.split()


def missing_capabilities(proc_status: str, last_capability: int) -> set[str]:
    """Name the capabilities up to `last_capability` that CapBnd in /proc/self/status lacks."""
    line = next(line for line in proc_status.splitlines() if line.startswith("CapBnd:"))
    bounding = int(line.split()[1], 16)
    known = CAPABILITIES[: last_capability + 1]
    return {f"CAP_{name}" for bit, name in enumerate(known) if not bounding >> bit & 1}


def drop(process: dict[str, Any], missing: set[str]) -> bool:
    """Take `missing` out of an OCI process's capability sets; tell whether any was there."""
    changed = False
    for kind, names in (process.get("capabilities") or {}).items():
        kept = [name for name in names or [] if name not in missing]
        changed |= kept != (names or [])
        process["capabilities"][kind] = kept
    return changed


def files_to_rewrite(argv: list[str]) -> list[tuple[Path, bool]]:
    """Find the OCI files in runc's arguments.

    The flag tells a whole bundle configuration (create, run) from a bare
    process (exec).
    """
    found = []
    for at, word in enumerate(argv):
        name, _, value = word.partition("=")
        value = value or (argv[at + 1] if at + 1 < len(argv) else "")
        if name in {"--bundle", "-b"}:
            found.append((Path(value) / "config.json", True))
        elif name in {"--process", "-p"}:
            found.append((Path(value), False))
    return found


def rewrite(path: Path, missing: set[str], *, is_bundle: bool) -> None:
    """Drop `missing` in one file; replaced in one go, so a reader never sees half of it."""
    content = json.loads(path.read_bytes())
    process = content.get("process") if is_bundle else content
    if process and drop(process, missing):
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(content), encoding="utf-8")
        fresh.replace(path)


def main(argv: list[str]) -> None:
    """Rewrite what the arguments point to and become runc."""
    missing = missing_capabilities(
        Path("/proc/self/status").read_text(encoding="ascii"),
        int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii")),
    )
    for path, is_bundle in files_to_rewrite(argv):
        if path.is_file():
            rewrite(path, missing, is_bundle=is_bundle)
    os.execv(RUNC, [RUNC, *argv])


if __name__ == "__main__":
    main(sys.argv[1:])
