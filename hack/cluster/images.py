"""Our own images: built and pushed only when what they are made of has changed.

An image's tag is a hash of its inputs: the Dockerfile, its build arguments
and every file that it copies.  So a tag never moves, an unchanged image costs
nothing, and a changed one rolls out.  What takes minutes to build and seldom
changes is an image of its own, a base, that stays on this machine.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.base_image import base_images, build_image
from hack.cluster.bring_up import can_pull
from hack.cluster.commands import Commands
from hack.cluster.content import build_context, files_below, key_of_files
from hack.cluster.docker import image_exists, our_daemons
from hack.cluster.errors import BringUpError
from hack.cluster.estimates import announce
from hack.cluster.kind import Cluster
from hack.cluster.lanes import Lane
from hack.cluster.places import Places
from hack.cluster.progress import Progress
from hack.cluster.push import push_image
from hack.cluster.registry import PULL_HOST, PUSH_HOST, Registry

PULL_NAMESPACE = "kube-system"
PULL_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Image:
    """One image that the project builds."""

    name: str
    dockerfile: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    made_from: tuple[str, str] | None = None
    """A build argument, and the image of ours whose reference it gets."""
    is_base: bool = False
    """Only others are made from it: no pod runs it, and it is built when one of those has to be."""
    by_name_only: bool = False
    """Built where it is asked for: the cluster has no GPU, and 10 GB for the CUDA libraries are much of a disk."""


SERVER = "inference_server/Dockerfile"
DEPENDENCIES = "inference_server/dependencies.Dockerfile"
IMAGES = (
    Image("operator", "operator/Dockerfile"),
    Image("gateway", "gateway/Dockerfile"),
    Image("haproxy", "tests/e2e/haproxy.Dockerfile"),
    Image("server-simulated-base", DEPENDENCIES, {"ENGINE": "simulated"}, is_base=True),
    Image("server-simulated", SERVER, made_from=("DEPENDENCIES_IMAGE", "server-simulated-base")),
    Image("assistant", "assistant/Dockerfile"),
    Image("server-cpu-base", DEPENDENCIES, {"ENGINE": "transformers", "DEVICE": "cpu"}, is_base=True),
    Image("server-smollm2-base", "inference_server/smollm2.Dockerfile",
          made_from=("DEPENDENCIES_IMAGE", "server-cpu-base"), is_base=True),
    Image("server-smollm2", SERVER, made_from=("DEPENDENCIES_IMAGE", "server-smollm2-base")),
    Image("server-base", DEPENDENCIES, {"ENGINE": "transformers"}, is_base=True),
    Image("server", SERVER, made_from=("DEPENDENCIES_IMAGE", "server-base"), by_name_only=True),
)  # fmt: skip
"""In the order of building: first the small ones, that most tests need."""
REPOSITORIES = tuple(f"chatscale/{image.name}" for image in IMAGES if not image.is_base)
"""All share layers: the base, and the server's in the image with a model."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image with the name that its content gives it."""

    image: Image
    arguments: dict[str, str]
    files: tuple[Path, ...]
    key: str

    @property
    def repository(self) -> str:
        """Its path in the registry."""
        return f"chatscale/{self.image.name}"

    @property
    def pushed_as(self) -> str:
        """Its name on this machine; a base is not pushed."""
        return f"{PUSH_HOST}/{self.repository}:{self.key}"

    @property
    def pulled_as(self) -> str:
        """Its name in a pod spec."""
        return f"{PULL_HOST}/{self.repository}:{self.key}"


def choose_images(names: list[str]) -> list[Image]:
    """Return the named images, or all that the tests and the demo run, in the order of building."""
    known = [image for image in IMAGES if not image.is_base]
    if unknown := set(names) - {image.name for image in known}:
        there_are = ", ".join(image.name for image in known)
        raise BringUpError(f"No image named {', '.join(sorted(unknown))}; there are {there_are}.")
    if names:
        return [image for image in known if image.name in names]
    return [image for image in known if not image.by_name_only]


def copied_paths(dockerfile: str) -> Iterator[str]:
    """List what a Dockerfile copies from the repository: sources of COPY and ADD without `--from`."""
    joined = re.sub(r"\\\n(?:\s*#.*\n)*", " ", dockerfile)
    for options, words in re.findall(r"(?m)^\s*(?:COPY|ADD)\s+((?:--\S+\s+)*)([^\n]+)$", joined):
        if "--from=" in options:
            continue
        sources = json.loads(words) if words.startswith("[") else words.split()
        yield from sources[:-1]


def inputs_of(repository: Path, image: Image) -> tuple[Path, ...]:
    """List the files an image is made of: its Dockerfile and what that copies."""
    dockerfile = repository / image.dockerfile
    if not dockerfile.is_file():
        raise BringUpError(f"{image.dockerfile} is missing: the image {image.name} is built from it.")
    files = {dockerfile}
    for pattern in copied_paths(dockerfile.read_text(encoding="utf-8")):
        matches = sorted(repository.glob(pattern.rstrip("/")))
        if not matches:
            raise BringUpError(f"{image.dockerfile} copies {pattern}, which does not exist.")
        for match in matches:
            files.update(files_below(match))
    return tuple(sorted(files))


def name_images(repository: Path, base_arguments: Mapping[str, str]) -> dict[str, BuiltImage]:
    """Work out every image's tag; nothing is built yet."""
    named: dict[str, BuiltImage] = {}
    for image in IMAGES:
        if not (repository / image.dockerfile).is_file():
            continue
        arguments = dict(image.arguments)
        if image.made_from is None:
            arguments |= base_arguments
        elif image.made_from[1] in named:
            arguments[image.made_from[0]] = named[image.made_from[1]].pushed_as
        else:
            continue
        files = inputs_of(repository, image)
        key = key_of_files(repository, files, *(f"{name}={arguments[name]}" for name in sorted(arguments)))
        named[image.name] = BuiltImage(image, arguments, files, key)
    return named


def ensure_images(places: Places, progress: Progress, names: list[str]) -> None:
    """Build, push and pull into the node what is not there yet; write the references down."""
    registry = Registry(places)
    wanted = choose_images(names)
    with progress.step("image names") as commands:
        if not registry.answers():
            raise BringUpError("The local registry does not answer: run `python3 -m hack.cluster up` first.")
        base = {} if can_pull(commands) else {"BASE_IMAGE": base_images(commands, places).python}
        named = name_images(places.repository, base)
        for image in wanted:
            if image.name not in named:
                raise BringUpError(f"{image.dockerfile} is missing: the image {image.name} is built from it.")
        large = [image for image in wanted if _is_from_nothing(commands, registry, named, image)]
        announce(commands, progress, places, [step for image in large for step in _steps_of(image)])
    # A node pulls while the next image is built; 5 GB take it a minute.
    with Lane(progress, "pull") as pulls:
        for image in wanted:
            _ensure_pushed(places, progress, registry, named, image)
            pulls.start(_ensure_pulled, places, progress, named[image.name])
    with progress.step("former versions") as commands:
        registry.forget_former(commands, REPOSITORIES)
        if next(our_daemons(places), None) is not None:
            # What the stages of a build leave behind: half a gigabyte for each conversion of a model. Not the newest,
            # which a build that runs beside this one may be about to use.
            commands.run("docker", "image", "prune", "--force", "--filter", "until=1h")


def _is_from_nothing(commands: Commands, registry: Registry, named: Mapping[str, BuiltImage], image: Image) -> bool:
    """Tell whether minutes and gigabytes are ahead: with its base on this machine, only a layer of code is."""
    built = named[image.name]
    base = None if image.made_from is None else named[image.made_from[1]]
    return not registry.has(built.repository, built.key) and (
        base is None or not image_exists(commands, base.pushed_as)
    )


def _steps_of(image: Image) -> tuple[str, str, str]:
    return f"build {image.name}", f"push {image.name}", f"pull {image.name} in the cluster"


def _ensure_pushed(
    places: Places, progress: Progress, registry: Registry, named: Mapping[str, BuiltImage], image: Image
) -> None:
    built = named[image.name]
    if registry.has(built.repository, built.key):
        progress.say(f"{image.name}: unchanged, {built.pulled_as}")
        return
    build, push, _ = _steps_of(image)
    with progress.step(build) as commands:
        _ensure_built(commands, places, named, image)
    with progress.step(push) as commands:
        push_image(commands, built.repository, built.key, mount_from=REPOSITORIES)


def _ensure_built(commands: Commands, places: Places, named: Mapping[str, BuiltImage], image: Image) -> None:
    """Build an image, and before it what it is made from, where they are missing on this machine."""
    built = named[image.name]
    if image_exists(commands, built.pushed_as):
        return
    if image.made_from is not None:
        _ensure_built(commands, places, named, named[image.made_from[1]].image)
    commands.say(f"building {image.name}")
    context = build_context([(str(path.relative_to(places.repository)), path) for path in built.files])
    build_image(commands, built.pushed_as, context, built.arguments, image.dockerfile)
    if image.is_base:
        _forget_superseded_here(commands, built)


def _ensure_pulled(places: Places, progress: Progress, built: BuiltImage) -> None:
    """Have the image in the node before a pod asks for it: a pod's start-up deadline is not for 5 GB."""
    _, _, pull = _steps_of(built.image)
    with progress.step(pull) as commands:
        cluster = Cluster(places)
        for node in cluster.nodes(commands):
            listed = commands.read("docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "list", "-q")
            if built.pulled_as not in listed.split():
                _pull_with_a_pod(commands, cluster, node, built)
            _forget_superseded(commands, node, built)
    # After each: whoever waits for a small image need not wait for the large ones.
    _write_reference(places, built)


def _pull_with_a_pod(commands: Commands, cluster: Cluster, node: str, built: BuiltImage) -> None:
    """Have kubelet pull: unlike `ctr` it skips layers that the node has, and keeps no second, packed copy."""
    name = f"pull-{built.image.name}-{built.key}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": PULL_NAMESPACE},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pull", "image": built.pulled_as, "command": ["true"]}],
        },
    }
    kubectl = cluster.kubectl("--namespace", PULL_NAMESPACE)

    def has_run() -> bool:
        return commands.read(*kubectl, "get", "pod", name, "-o", "jsonpath={.status.phase}") in {"Succeeded", "Failed"}

    commands.run(*kubectl, "apply", "-f", "-", stdin=json.dumps(pod).encode())
    try:
        commands.wait_until(has_run, f"the node to pull {built.pulled_as}", PULL_DEADLINE_S)
    finally:
        commands.succeeds(*kubectl, "delete", "pod", name, "--ignore-not-found", "--wait=false")


def _forget_superseded(commands: Commands, node: str, built: BuiltImage) -> None:
    """Drop former versions from the node and Docker; what still runs them may pull them from the registry again.

    Each holds 5 GB of disk once its dependencies differ from the current one's.
    """
    ctr = ("docker", "exec", node, "ctr", "--namespace=k8s.io", "images")
    if in_node := superseded_in_node(commands.read(*ctr, "list"), built.pulled_as):
        commands.succeeds(*ctr, "rm", *in_node)
    _forget_superseded_here(commands, built)


def _forget_superseded_here(commands: Commands, built: BuiltImage) -> None:
    """Drop former versions from Docker."""
    repository = built.pushed_as.rpartition(":")[0]
    names = commands.read("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", repository).split()
    if in_docker := [name for name in names if name != built.pushed_as]:
        commands.succeeds("docker", "rmi", *in_docker)


def superseded_in_node(listed: str, current: str) -> list[str]:
    """Find the references of former versions in `ctr images list`: REF TYPE DIGEST ...

    Kubelet's runtime keeps three of an image: its tag, repository@digest, and
    a bare digest, which only the common target connects with the others.
    """
    repository = current.rpartition(":")[0]
    targets = {row[0]: row[2] for row in (line.split() for line in listed.splitlines()[1:])}
    former = {target for name, target in targets.items() if name.startswith((f"{repository}:", f"{repository}@"))}
    former.discard(targets.get(current, ""))
    return [name for name, target in targets.items() if target in former]


def _write_reference(places: Places, built: BuiltImage) -> None:
    path = places.images_json
    references = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    references[built.image.name] = built.pulled_as
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(references, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
