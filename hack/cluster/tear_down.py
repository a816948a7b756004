"""`down` and `purge`: take away what `up` made, and no more."""

import os
import shutil
import signal
from pathlib import Path

from hack.cluster.commands import Commands
from hack.cluster.docker import Docker, our_daemons
from hack.cluster.kind import Cluster
from hack.cluster.places import Places
from hack.cluster.progress import Progress
from hack.cluster.registry import PUSH_HOST, Registry

OUR_IMAGES = (f"{PUSH_HOST}/chatscale/", "chatscale/")
"""How the names of images begin that only this project makes."""
STOP_DEADLINE_S = 30.0


def take_down(places: Places, progress: Progress) -> None:
    """Delete the cluster and the registry's container; images, caches and the daemon stay."""
    with progress.step("delete the cluster") as commands:
        if not Docker(places).answers(commands):
            commands.say("Docker is not running, so neither is a cluster; `up` starts both")
            return
        cluster = Cluster(places)
        if cluster.nodes(commands):
            cluster.delete(commands)
        Registry(places).remove(commands)


def purge(places: Places, progress: Progress) -> None:
    """Delete everything that `up` and `images` made, save what other programs share with us."""
    take_down(places, progress)
    ours = list(our_daemons(places))
    with progress.step("delete Docker's data") as commands:
        if Docker(places).answers(commands):
            if ours:
                # Nothing else uses a daemon that we started.
                commands.run("docker", "system", "prune", "--all", "--force", "--volumes")
            else:
                _remove_our_images(commands)
        for pid in ours:
            _stop(commands, pid)
    with progress.step("delete the cache") as commands:
        commands.say(f"deleting {places.cache}")
    shutil.rmtree(places.cache)
    progress.say("left in place: Debian packages, and Go's own caches (go clean -cache -modcache)")


def _remove_our_images(commands: Commands) -> None:
    listed = commands.read("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    ours = [name for name in listed if name.startswith(OUR_IMAGES)]
    if ours:
        commands.run("docker", "rmi", "--force", *ours)


def _stop(commands: Commands, pid: int) -> None:
    commands.say(f"stopping process {pid}")
    os.kill(pid, signal.SIGTERM)
    # A zombie, whose parent does not wait for it, has no cmdline any more.
    cmdline = Path(f"/proc/{pid}/cmdline")
    commands.wait_until(lambda: not cmdline.is_file() or not cmdline.read_bytes(), f"process {pid}", STOP_DEADLINE_S)
