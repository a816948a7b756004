"""A run says what it takes before it starts."""

from types import SimpleNamespace

import pytest

from hack.cluster.addons import ADDONS
from hack.cluster.errors import BringUpError
from hack.cluster.estimates import ESTIMATES, FIRST_RUN_GB, announce, describe_disk, disk_gb_of
from hack.cluster.images import IMAGES
from hack.cluster.places import Places
from hack.cluster.progress import Progress
from hack.cluster.toolchain import BUILD_ORDER


def test_every_build_has_an_estimate():
    steps = [f"build {build.name}" for build in BUILD_ORDER]
    steps += [f"image of {addon.program}" for addon in ADDONS]
    steps += [f"build {image.name}" for image in IMAGES if not image.is_base]
    assert [step for step in steps if step not in ESTIMATES] == []


def test_a_first_run_is_all_steps_but_the_image_for_gpus():
    steps = [step for step in ESTIMATES if "server" not in step.split()]
    assert disk_gb_of(steps) == pytest.approx(FIRST_RUN_GB, abs=1.0)


def test_free_disk_does_not_read_like_an_error():
    assert describe_disk(17.4, 6.2) == (
        f"Disk: 17 GB free. A first run with all images needs up to {FIRST_RUN_GB} GB; this run still needs about 6 GB."
    )
    assert describe_disk(17.4, 0.3).endswith("this run needs less than 1 GB.")


def test_a_full_disk_stops_the_run_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("hack.cluster.estimates.shutil.disk_usage", lambda _path: SimpleNamespace(free=1 << 30))
    progress = Progress(tmp_path / "logs")
    with (
        progress.step("survey") as commands,
        pytest.raises(BringUpError, match=r"1 GB are free for .* this run needs about 5 GB: delete files"),
    ):
        announce(commands, progress, Places(tmp_path, tmp_path), ["build kubernetes"])
