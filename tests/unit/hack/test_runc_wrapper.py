"""Containers ask for every capability; the machine may lack some."""

import json

import pytest

from hack.cluster import runc_wrapper
from hack.cluster.docker import wrapper_script

ALL_41 = (1 << 41) - 1
SYS_RESOURCE = 24


def status(bounding: int) -> str:
    return f"Name:\tpython3\nCapEff:\t{0:016x}\nCapBnd:\t{bounding:016x}\n"


@pytest.mark.parametrize(
    ("bounding", "missing"),
    [
        pytest.param(ALL_41, set(), id="nothing-missing"),
        pytest.param(ALL_41 & ~(1 << SYS_RESOURCE), {"CAP_SYS_RESOURCE"}, id="one-missing"),
        pytest.param(ALL_41 & ~0b1 & ~(1 << 40), {"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"}, id="first-and-last"),
    ],
)
def test_names_what_the_bounding_set_lacks(bounding, missing):
    assert runc_wrapper.missing_capabilities(status(bounding), last_capability=40) == missing


def test_does_not_miss_what_the_kernel_does_not_know():
    assert runc_wrapper.missing_capabilities(status((1 << 38) - 1), last_capability=37) == set()


def test_drops_from_every_set_and_tells_whether_it_did():
    process = {
        "args": ["sh"],
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": None, "effective": ["CAP_CHOWN"]},
    }
    assert runc_wrapper.drop(process, {"CAP_SYS_RESOURCE"})
    assert process == {
        "args": ["sh"],
        "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": [], "effective": ["CAP_CHOWN"]},
    }
    assert not runc_wrapper.drop(process, {"CAP_SYS_RESOURCE"})


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        pytest.param(["--root", "/r", "create", "--bundle", "/b", "id"], [("/b/config.json", True)], id="create"),
        pytest.param(["run", "--bundle=/b", "id"], [("/b/config.json", True)], id="equals-sign"),
        pytest.param(["exec", "--process", "/p.json", "-d", "id"], [("/p.json", False)], id="exec"),
        pytest.param(["state", "id"], [], id="nothing-to-rewrite"),
    ],
)
def test_finds_the_files_that_name_capabilities(argv, expected):
    assert [(str(path), is_bundle) for path, is_bundle in runc_wrapper.files_to_rewrite(argv)] == expected


def test_rewrites_a_bundle_and_leaves_nothing_beside_it(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"capabilities": {"bounding": ["CAP_A", "CAP_B"]}}, "root": {}}))
    runc_wrapper.rewrite(config, {"CAP_B"}, is_bundle=True)
    assert json.loads(config.read_text()) == {"process": {"capabilities": {"bounding": ["CAP_A"]}}, "root": {}}
    assert list(tmp_path.iterdir()) == [config]


def test_the_installed_script_stands_alone_and_runs_the_runc_that_was_found():
    script = wrapper_script("/opt/runc")
    assert script.startswith("#!/")
    assert 'RUNC = "/opt/runc"' in script
    assert "from hack" not in script
    compile(script, "runc", "exec")
