"""The registry's storage does not grow with every version ever pushed."""

import os

from hack.cluster.registry import former_tags


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
