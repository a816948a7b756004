"""How long each step takes and how much disk it fills, measured in a first run on two cores (docs/design/0002).

Progress scales the times by what it observes, so a rough value is enough.
Steps that are not listed take a few seconds and no space worth counting.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError
from hack.cluster.places import Places
from hack.cluster.progress import Progress


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one step costs."""

    seconds: float
    disk_gb: float = 0.0


ESTIMATES: Mapping[str, Estimate] = {
    "base image": Estimate(90, 0.4),
    "node packages": Estimate(70, 0.6),
    "build kubernetes": Estimate(400, 5.0),
    "build kubectl": Estimate(25, 0.1),
    "build kind": Estimate(4, 0.1),
    "build etcd": Estimate(11, 0.1),
    "build pause": Estimate(1),
    "build coredns": Estimate(10, 0.1),
    "build kube-network-policies": Estimate(12, 0.2),
    "build prometheus-adapter": Estimate(8, 0.1),
    "build prometheus": Estimate(140, 0.8),
    "build helm": Estimate(12, 0.2),
    "node image": Estimate(50, 1.2),
    "cluster": Estimate(25, 1.0),
    "registry": Estimate(12, 0.1),
    "image of prometheus": Estimate(4, 0.2),
    "image of adapter": Estimate(4, 0.2),
    "image of kube-network-policies": Estimate(4, 0.2),
    "add-ons": Estimate(25, 0.2),
    "build operator": Estimate(20, 0.4),
    "build gateway": Estimate(45, 0.2),
    "build haproxy": Estimate(10, 0.1),
    "build server-simulated": Estimate(25, 0.3),
    "build assistant": Estimate(60, 0.8),
    "build server": Estimate(150, 5.0),
    "build server-smollm2": Estimate(200, 4.2),
    "push server": Estimate(20, 5.0),
    "push server-smollm2": Estimate(20, 4.0),
    "pull server in the cluster": Estimate(50, 5.0),
    "pull server-smollm2 in the cluster": Estimate(40, 4.2),
}
FIRST_RUN_GB = 24
"""All of `up` and `images` from nothing, with Go's caches."""
GIGABYTE = 1 << 30


def announce(commands: Commands, progress: Progress, places: Places, steps: Sequence[str]) -> None:
    """Say what the steps take of the disk, and have their progress shown.  Raises BringUpError if it does not fit."""
    free_gb = shutil.disk_usage(places.cache).free / GIGABYTE
    needed_gb = disk_gb_of(steps)
    if free_gb < needed_gb:
        raise BringUpError(
            f"{free_gb:.0f} GB are free for {places.cache} and Docker, this run needs about {needed_gb:.0f} GB: "
            "delete files, then run it again."
        )
    commands.say(describe_disk(free_gb, needed_gb))
    progress.expect(seconds_of(steps))


def seconds_of(steps: Iterable[str]) -> dict[str, float]:
    """Keep the steps that take long enough to count."""
    return {step: ESTIMATES[step].seconds for step in steps if step in ESTIMATES}


def disk_gb_of(steps: Iterable[str]) -> float:
    """Add up what the steps will fill."""
    return sum(ESTIMATES[step].disk_gb for step in steps if step in ESTIMATES)


def describe_disk(free_gb: float, needed_gb: float) -> str:
    """Say what there is and what this run takes of it."""
    rest = f"this run still needs about {needed_gb:.0f} GB" if needed_gb >= 1 else "this run needs less than 1 GB"
    return f"Disk: {free_gb:.0f} GB free. A first run with all images needs up to {FIRST_RUN_GB} GB; {rest}."
