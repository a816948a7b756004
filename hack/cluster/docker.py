"""The Docker daemon: found, or installed and started without an init system."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import runc_wrapper
from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError
from hack.cluster.places import Places

DEBIAN_PACKAGES = ("docker.io", "containerd", "runc", "iptables", "iproute2", "debootstrap")
APT_OPTIONS = ("-o", "DPkg::Lock::Timeout=120")
"""Another apt may be at work for a while, as after the start of a machine."""
SERVICE_RANGE = "10.96.0.0/16"
"""Kubernetes' Service addresses, as in manifests/kind/cluster.yaml."""
CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")
WRAPPED_RUNTIME = "chatscale-runc"
START_DEADLINE_S = 90.0
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps daemons; not on every user's PATH."""


@dataclass(frozen=True, slots=True)
class Docker:
    """The daemon of this machine."""

    places: Places

    def answers(self, commands: Commands) -> bool:
        """Tell whether a daemon runs and lets us in."""
        return shutil.which("docker") is not None and commands.succeeds("docker", "info", deadline_s=30)

    def ensure(self, commands: Commands) -> None:
        """Use the running daemon, or install and start one."""
        if self.answers(commands):
            commands.say("using the daemon that runs already")
            if WRAPPED_RUNTIME in commands.read("docker", "info", "--format", "{{.DefaultRuntime}}"):
                # It may have been deleted with the cache, and the daemon needs it at every start of a container.
                self._write_config(commands)
            return
        if os.geteuid() != 0:
            raise BringUpError("No Docker daemon answers, and starting one needs root: start Docker, or run as root.")
        missing = [package for package in DEBIAN_PACKAGES if not _is_installed(package)]
        if _which("dockerd") is None and missing:
            install_packages(commands, missing)
        if Path("/run/systemd/system").is_dir():
            commands.run("systemctl", "start", "docker")
            commands.wait_until(lambda: self.answers(commands), "dockerd", START_DEADLINE_S)
        else:
            self._start(commands)

    def _start(self, commands: Commands) -> None:
        reject_stray_service_traffic(commands)
        if not _system_config().get("live-restore"):
            for end in ends_left_over():
                commands.say(f"unplugging {end}, left over from a former daemon's container")
                commands.succeeds(_which("ip") or "ip", "link", "delete", end)
        for pid_file in (Path("/run/docker.pid"), Path("/run/docker/containerd/containerd.pid")):
            _remove_if_stale(pid_file)

        def containerd_answers() -> bool:
            return commands.succeeds("ctr", "version", deadline_s=5)

        logs = self.places.logs
        if not containerd_answers():
            commands.say(f"starting containerd, log: {logs / 'containerd.log'}")
            commands.start_daemon(
                _which("containerd") or "containerd",
                log=logs / "containerd.log",
                answers=containerd_answers,
                deadline_s=START_DEADLINE_S,
            )
        commands.say(f"starting dockerd, log: {logs / 'dockerd.log'}")
        commands.start_daemon(
            _which("dockerd") or "dockerd",
            f"--config-file={self._write_config(commands)}",
            f"--containerd={CONTAINERD_SOCKET}",
            log=logs / "dockerd.log",
            answers=lambda: self.answers(commands),
            deadline_s=START_DEADLINE_S,
        )

    def _write_config(self, commands: Commands) -> Path:
        """Write the daemon's configuration: the machine's own, and the wrapped runtime where it is needed."""
        config = _system_config()
        missing = runc_wrapper.missing_capabilities(
            Path("/proc/self/status").read_text(encoding="ascii"),
            int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii")),
        )
        self.places.docker.mkdir(parents=True, exist_ok=True)
        if missing:
            commands.say(f"containers go without {', '.join(sorted(missing))}, which this machine lacks")
            runc = _which("runc")
            if runc is None:
                raise BringUpError("runc is not installed: apt-get install runc")
            wrapper = self.places.docker / "runc"
            _write_executable(wrapper, wrapper_script(runc))
            config.setdefault("runtimes", {})[WRAPPED_RUNTIME] = {"path": str(wrapper)}
            config["default-runtime"] = WRAPPED_RUNTIME
        path = self.places.docker / "daemon.json"
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return path


def _system_config() -> dict[str, Any]:
    """Read the machine's own configuration of the daemon."""
    system = Path("/etc/docker/daemon.json")
    return dict(json.loads(system.read_text(encoding="utf-8"))) if system.is_file() else {}


def wrapper_script(runc: Path) -> str:
    """The wrapper as a file of its own: this interpreter, and the real runc's path written in."""
    source = Path(runc_wrapper.__file__).read_text(encoding="utf-8")
    # -I -S: nothing of the caller's environment or site-packages; starts in 15 ms.
    first_line = f"#!{Path(sys.executable).resolve()} -IS\n"
    return first_line + source.replace(f'RUNC = "{runc_wrapper.RUNC}"', f'RUNC = "{runc}"')


def install_packages(commands: Commands, packages: list[str]) -> None:
    """Install Debian packages without a question."""
    if shutil.which("apt-get") is None:
        raise BringUpError(f"Install these yourself, this machine has no apt: {' '.join(packages)}")
    commands.say("installing " + " ".join(packages))
    # In runlevel 1 a package does not start its daemon: without systemd, ours needs our configuration.
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    commands.run("apt-get", *APT_OPTIONS, "update", env=env, deadline_s=300)
    commands.run(
        "apt-get", *APT_OPTIONS, "install", "-y", "--no-install-recommends", *packages, env=env, deadline_s=600
    )


def reject_stray_service_traffic(commands: Commands) -> None:
    """Refuse Service addresses that leave a node.

    Before kube-proxy has written its rules, a connection to a Service address
    goes out to the network.  Where something there accepts every connection (a
    transparent proxy), it is kept alive for good, and the API server takes the
    stranger for an APIService's backend.
    """
    if _which("iptables") is None:
        return
    iptables = str(_which("iptables"))
    rule = ("-d", SERVICE_RANGE, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
    # Fails if Docker has made the chain already, which is fine.
    commands.succeeds(iptables, "-w", "-N", "DOCKER-USER")
    if not commands.succeeds(iptables, "-w", "-C", "DOCKER-USER", *rule):
        commands.run(iptables, "-w", "-I", "DOCKER-USER", *rule)


def ends_left_over(interfaces: Path = Path("/sys/class/net")) -> list[str]:
    """List the network ends of former containers that are still plugged into Docker's bridges.

    Only while no daemon runs.  A killed daemon's containers lose their
    processes, but not their network where another mount namespace holds it.
    It goes on answering ARP for an address that the next daemon gives to a
    new container, and a connection reaches now the one, now the other.
    """
    found = []
    for interface in sorted(interfaces.iterdir()):
        master = interface / "master"
        bridge = master.readlink().name if master.is_symlink() else ""
        if interface.name.startswith("veth") and (bridge == "docker0" or bridge.startswith("br-")):
            found.append(interface.name)
    return found


def _which(program: str) -> Path | None:
    found = shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)
    return Path(found) if found else None


def _is_installed(package: str) -> bool:
    return Path(f"/var/lib/dpkg/info/{package}.list").is_file()


def _remove_if_stale(pid_file: Path, proc: Path = Path("/proc")) -> None:
    """Remove a pid file whose process has ended or is by now another program: dockerd would refuse to start.

    A killed daemon stays in /proc as a zombie, without a command line, until
    its parent looks at it, which is never where there is no real init.
    """
    if not pid_file.is_file():
        return
    cmdline = proc / pid_file.read_text(encoding="ascii").strip() / "cmdline"
    program = cmdline.read_bytes().split(b"\0")[0].decode() if cmdline.is_file() else ""
    if Path(program).name not in {"dockerd", "containerd"}:
        pid_file.unlink()


def _write_executable(path: Path, text: str) -> None:
    """Replace in one go: the daemon may be running the old one."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)


def image_exists(commands: Commands, tag: str) -> bool:
    """Tell whether the daemon has an image of this name."""
    return commands.succeeds("docker", "image", "inspect", "--format", "{{.Id}}", tag)


def our_daemons(places: Places) -> Iterator[int]:
    """Find the dockerd that has our configuration, and the containerd that it was pointed to.

    In that order: dockerd ends its containers through containerd.
    """
    config = f"--config-file={places.docker / 'daemon.json'}"
    running = {
        int(folder.name): (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        for folder in Path("/proc").glob("[0-9]*")
        if _shares_our_processes(folder)
    }
    dockerd = [pid for pid, argv in running.items() if config in argv]
    yield from dockerd
    if dockerd:
        yield from (pid for pid, argv in running.items() if Path(argv[0]).name == "containerd")


def _shares_our_processes(folder: Path) -> bool:
    """Tell a process of this machine from one inside a container: a node runs a containerd too."""
    try:
        return (folder / "ns" / "pid").readlink() == Path("/proc/self/ns/pid").readlink()
    except OSError:
        # Ended meanwhile, or not ours to look at.
        return False
