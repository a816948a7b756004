"""`status`: what is up, at a glance, changing nothing."""

import json
import shutil
from collections.abc import Iterator

from hack.cluster.addons import PROMETHEUS_URL
from hack.cluster.commands import Commands
from hack.cluster.docker import Docker
from hack.cluster.kind import CONTEXT, Cluster
from hack.cluster.places import Places
from hack.cluster.registry import PUSH_HOST, Registry


def describe_usage(places: Places) -> str:
    """Say how to use a cluster that is up."""
    return (
        f"The cluster is up: kubectl --context {CONTEXT} get pods -A\n"
        f'  tools:      export PATH="{places.tools}:$PATH"\n'
        f"  Prometheus: {PROMETHEUS_URL}\n"
        f"  registry:   push to {PUSH_HOST}/..., name it registry.local:5001/... in pod specs"
    )


def describe(places: Places, commands: Commands) -> Iterator[str]:
    """Yield one line for each thing that can be up or down."""
    docker = Docker(places).answers(commands)
    yield f"docker    {'answers' if docker else 'does not answer'}"
    cluster = Cluster(places)
    nodes = cluster.nodes(commands) if docker else {}
    for name, is_running in nodes.items():
        yield f"node      {name} {'runs' if is_running else 'is stopped'}"
    answers = bool(nodes) and cluster.answers(commands)
    yield f"API       {'is ready' if answers else 'does not answer'} (context {CONTEXT})"
    yield f"registry  {'answers' if Registry(places).answers() else 'does not answer'} at {PUSH_HOST}"
    if places.images_json.is_file():
        for name, reference in json.loads(places.images_json.read_text(encoding="utf-8")).items():
            yield f"image     {name} is {reference}"
    yield f"disk      {shutil.disk_usage(places.cache).free >> 30} GB free; caches and logs in {places.cache}"
    if answers:
        yield describe_usage(places)
