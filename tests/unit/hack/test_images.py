"""An image's tag follows what it is made of, and nothing else."""

import pytest

from hack.cluster.errors import BringUpError
from hack.cluster.images import IMAGES, choose_images, copied_paths, name_images, superseded_in_node

DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY requirements/a.txt requirements/b.txt \\
    # a comment between
    /tmp/
COPY --chown=1:1 --chmod=644 src /opt/src
COPY ["with json", "/x"]
COPY --from=0 /models /models
ADD more /more
# COPY not/this /x
RUN echo COPY nor this
"""


@pytest.fixture
def repository(tmp_path):
    for name in ("operator", "gateway", "inference_server"):
        (tmp_path / name / "code").mkdir(parents=True)
        (tmp_path / name / "code" / "main.py").write_text("1")
        (tmp_path / name / "Dockerfile").write_text(f"FROM x\nCOPY {name}/code /opt/code\n")
    for name in ("dependencies", "smollm2"):
        (tmp_path / "inference_server" / f"{name}.Dockerfile").write_text(f"FROM x\nCOPY {name}.txt /tmp\n")
        (tmp_path / f"{name}.txt").write_text("1")
    return tmp_path


def tags(repository, **arguments):
    return {name: built.key for name, built in name_images(repository, arguments).items()}


def test_finds_what_a_dockerfile_copies_from_the_repository():
    assert list(copied_paths(DOCKERFILE)) == ["requirements/a.txt", "requirements/b.txt", "src", "with json", "more"]


def test_a_change_of_code_renames_the_images_that_have_it(repository):
    before = tags(repository)
    (repository / "inference_server" / "code" / "main.py").write_text("2")
    after = tags(repository)
    assert {name for name in after if after[name] != before[name]} == {"server", "server-simulated", "server-smollm2"}


def test_a_change_of_a_base_renames_what_is_made_from_it(repository):
    before = tags(repository)
    (repository / "smollm2.txt").write_text("2")
    after = tags(repository)
    assert {name for name in after if after[name] != before[name]} == {"server-smollm2-base", "server-smollm2"}


def test_what_no_dockerfile_copies_renames_nothing(repository):
    before = tags(repository)
    (repository / "inference_server" / "README.md").write_text("x")
    (repository / "inference_server" / "code" / "__pycache__").mkdir()
    (repository / "inference_server" / "code" / "__pycache__" / "main.pyc").write_text("x")
    assert tags(repository) == before


def test_another_base_or_engine_is_another_image(repository):
    before = tags(repository)
    assert before["server"] != before["server-simulated"]
    assert not before.items() & tags(repository, BASE_IMAGE="other").items()


def test_no_image_is_named_before_what_it_is_made_from():
    names = [image.name for image in IMAGES]
    for image in IMAGES:
        assert image.made_from is None or image.made_from[1] in names[: names.index(image.name)]


def test_references_name_the_same_image_from_outside_and_inside(repository):
    built = name_images(repository, {})["operator"]
    assert built.pushed_as == f"127.0.0.1:5001/chatscale/operator:{built.key}"
    assert built.pulled_as == f"registry.local:5001/chatscale/operator:{built.key}"


def test_says_which_copied_path_is_missing(repository):
    (repository / "operator" / "Dockerfile").write_text("FROM x\nCOPY operator/gone /x\n")
    with pytest.raises(BringUpError, match="operator/Dockerfile copies operator/gone, which does not exist"):
        name_images(repository, {})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(
            [],
            ["operator", "gateway", "haproxy", "server-simulated", "assistant", "server-smollm2"],
            id="what-tests-run",
        ),
        pytest.param(["server"], ["server"], id="for-gpus-by-name"),
        pytest.param(["server-simulated", "operator"], ["operator", "server-simulated"], id="in-building-order"),
    ],
)
def test_chooses_images(names, expected):
    assert [image.name for image in choose_images(names)] == expected


def test_names_the_images_there_are_when_one_is_unknown():
    with pytest.raises(
        BringUpError,
        match="No image named typo; there are operator, gateway, haproxy, server-simulated, assistant, "
        "server-smollm2, server",
    ):
        choose_images(["typo"])


LISTED = """\
REF TYPE DIGEST SIZE PLATFORMS LABELS
registry.local:5001/c/server:old t sha256:1 5 GiB l -
registry.local:5001/c/server@sha256:1 t sha256:1 5 GiB l -
sha256:aaa t sha256:1 5 GiB l -
registry.local:5001/c/server:new t sha256:2 5 GiB l -
registry.local:5001/c/server@sha256:2 t sha256:2 5 GiB l -
sha256:bbb t sha256:2 5 GiB l -
registry.local:5001/c/server-simulated:old t sha256:3 5 GiB l -
registry.k8s.io/pause:3 t sha256:4 1 MiB l -
"""


def test_former_versions_leave_the_node_with_all_their_references():
    assert superseded_in_node(LISTED, "registry.local:5001/c/server:new") == [
        "registry.local:5001/c/server:old",
        "registry.local:5001/c/server@sha256:1",
        "sha256:aaa",
    ]


def test_an_old_tag_of_the_same_content_does_not_take_the_current_image_with_it():
    listed = "REF\nr/c/server:old t sha256:1 -\nr/c/server:new t sha256:1 -\n"
    assert superseded_in_node(listed, "r/c/server:new") == []
