"""One folder per program: what each image and each extra contains."""

import re
import tomllib
from collections.abc import Iterator

import pytest

from chatscale import __version__
from chatscale_contract.version import VERSION
from hack.cluster.images import IMAGES, inputs_of
from hack.paths import ROOT

PROGRAMS = {
    "operator": "chatscale",
    "inference_server": "chatscale_server",
    "gateway": "chatscale_gateway",
    "assistant": "chatscale_assistant",
    "simulator": "chatscale_simulator",
    "cli": "chatscale_cli",
    "contract": "chatscale_contract",
    "process": "chatscale_process",
}
SHARED = {"chatscale_contract", "chatscale_process"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("folder", "package"), PROGRAMS.items())
def test_a_program_is_a_folder_with_one_package(folder: str, package: str) -> None:
    packages = [path.parent.name for path in (ROOT / folder).glob("*/__init__.py")]

    assert packages == [package]
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_wheel_holds_every_program() -> None:
    listed = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert sorted(listed) == sorted(f"{folder}/{package}" for folder, package in PROGRAMS.items())


@pytest.mark.parametrize(
    ("image", "packages"),
    [
        pytest.param("operator", {"chatscale", *SHARED}, id="operator"),
        pytest.param("gateway", {"chatscale_gateway", "chatscale", *SHARED}, id="gateway"),
        pytest.param("assistant", {"chatscale_assistant", "chatscale", *SHARED}, id="assistant"),
        pytest.param("server", {"chatscale_server", "chatscale_contract"}, id="server"),
        pytest.param("server-simulated", {"chatscale_server", "chatscale_contract"}, id="server-simulated"),
    ],
)
def test_an_image_holds_its_program_and_what_programs_share_only(image: str, packages: set[str]) -> None:
    [found] = [each for each in IMAGES if each.name == image]

    copied = {path.relative_to(ROOT).parts[1] for path in inputs_of(ROOT, found) if path.suffix == ".py"}

    assert copied == packages


@pytest.mark.parametrize("image", ["gateway", "assistant"])
def test_an_image_beside_the_operators_holds_nothing_of_the_operator_but_its_api(image: str) -> None:
    [found] = [each for each in IMAGES if each.name == image]
    paths = {path.relative_to(ROOT).as_posix() for path in inputs_of(ROOT, found)}

    of_the_operator = {path for path in paths if path.startswith("operator/")}
    assert {path for path in of_the_operator if not path.startswith("operator/chatscale/api/")} == {
        f"operator/chatscale/{name}.py" for name in ("__init__", "names", "errors")
    }


@pytest.mark.parametrize("extra", ["cli", "simulator"])
def test_the_command_line_installs_without_kopf_and_torch(extra: str) -> None:
    installed = set(_packages(extra))

    assert "pydantic" in installed
    assert installed.isdisjoint({"kopf", "kubernetes", "aiohttp", "torch", "transformers"})


def test_the_assistants_image_has_no_torch() -> None:
    locked = (ROOT / "requirements" / "assistant.txt").read_text(encoding="utf-8")

    assert re.findall(r"(?m)^(?:torch|transformers|nvidia-\S+)==", locked) == []


def _packages(extra: str) -> Iterator[str]:
    for requirement in PYPROJECT["project"]["optional-dependencies"][extra]:
        if nested := re.fullmatch(r"chatscale\[(.+)\]", requirement):
            for each in nested[1].split(","):
                yield from _packages(each)
        else:
            yield re.split(r"[<>=\[;]", requirement)[0]


def test_all_programs_have_one_version() -> None:
    assert __version__ == VERSION
