"""The registry's storage does not grow with every version ever pushed, and its image follows what it is made of."""

import os

from hack.cluster.apt_sources import Source
from hack.cluster.base_image import BaseImages
from hack.cluster.places import Places
from hack.cluster.registry import Registry, former_tags
from hack.paths import ROOT


def push(folder, tag, at_s):
    link = folder / tag / "current" / "link"
    link.parent.mkdir(parents=True)
    link.touch()
    os.utime(link, (at_s, at_s))


def test_keeps_the_versions_pushed_last(tmp_path):
    for at_s, tag in enumerate(["c", "a", "d", "b"], start=1000):
        push(tmp_path, tag, at_s)
    assert [tag.name for tag in former_tags(tmp_path, keep=2)] == ["a", "c"]
    assert former_tags(tmp_path, keep=4) == []


def test_an_image_that_was_never_pushed_has_no_former_versions(tmp_path):
    assert former_tags(tmp_path / "none") == []


def test_another_base_is_another_image(tmp_path):
    places = Places(repository=ROOT, cache=tmp_path)
    one, two = (
        BaseImages(places, "bookworm", [Source(uri, ("bookworm",), ("main",))], pip_conf="") for uri in ("a", "b")
    )
    registry = Registry(places)
    assert len({registry.image(bases) for bases in (one, two, None)}) == 3
    assert registry.image(one) == registry.image(one)
