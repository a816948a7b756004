"""`python -m hack.install`: the chart into the kind cluster, as a user would install it, with the images built here.

The demo and the end-to-end tests call `install` and `uninstall`; both return what helm said.
"""

import json
import sys
from pathlib import Path
from typing import Final

from hack.cluster.network import POD_RANGE
from hack.cluster.places import places_of_this_machine
from hack.helm import CHART, NAMESPACE, RELEASE, HelmError, Values, helm
from hack.kube import CONTEXT

WAIT_S = 180
"""For the operator's first readiness probe; its image is on the node already."""


KEYS_OF_ALL_NAMESPACES: Final[Values] = {"gateway": {"auth": {"secretNamespaces": ["*"]}}}
"""Each demo and each test has its API keys in its own namespace, and they are deleted with it."""


NODE_PORTS_REACH_REPLICAS: Final[Values] = {
    "networkPolicy": {"extraIngress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [POD_RANGE]}}]}]}
}
"""This machine calls replicas through node ports. Other pods cannot call them."""


def image_values() -> Values:
    """Chart values that name the images of `make images`. HelmError if they have not been built."""
    path = places_of_this_machine().images_json
    if not path.exists():
        raise HelmError(f"{path} is missing: run `make images` first")
    images = json.loads(path.read_text(encoding="utf-8"))
    if missing := {"operator", "gateway", "server-simulated"} - images.keys():
        raise HelmError(f"{path} names no image {', '.join(sorted(missing))}: run `make images` first")
    return {
        "operator": {"image": _repository_and_tag(images["operator"])},
        "gateway": {"image": _repository_and_tag(images["gateway"])},
        # On the cluster's CPUs the image with a model in it serves other models too.  It may still be building:
        # ChatModels that need it name it or wait.
        "server": {
            "image": images.get("server") or images.get("server-smollm2", ""),
            "simulatedImage": images["server-simulated"],
        },
        # The image may still be building, as above.
        "assistant": {"image": images.get("assistant", "")},
    }


def _repository_and_tag(reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def install(
    values: Values | None = None, *, namespace: str = NAMESPACE, release: str = RELEASE, chart: Path = CHART
) -> str:
    """Install or upgrade, and wait for the operator and the gateway to be ready.

    `values` come on top of the images, KEYS_OF_ALL_NAMESPACES and NODE_PORTS_REACH_REPLICAS; values of an
    earlier release are forgotten.
    HelmError if it does not become ready within WAIT_S.
    """
    ours = merge_values(merge_values(image_values(), KEYS_OF_ALL_NAMESPACES), NODE_PORTS_REACH_REPLICAS)
    return helm(
        *("upgrade", "--install", release, str(chart), "--namespace", namespace, "--create-namespace"),
        *("--wait", f"--timeout={WAIT_S}s", "--reset-values", "--values", "-", "--kube-context", CONTEXT),
        stdin=json.dumps(merge_values(ours, values or {})),
        timeout_s=WAIT_S + 60,
    )


def uninstall(*, namespace: str = NAMESPACE, release: str = RELEASE) -> str:
    """Remove the release and wait until its objects are gone; the CRD and all ChatModels stay."""
    return helm(
        *("uninstall", release, "--namespace", namespace, "--wait", f"--timeout={WAIT_S}s"),
        *("--kube-context", CONTEXT),
        timeout_s=WAIT_S + 60,
    )


def merge_values(base: Values, top: Values) -> Values:
    """`top` wins; objects are merged key by key, as helm does with several values files."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = merge_values(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def main() -> int:
    """Install with the local images and the API keys of all namespaces; print the images."""
    try:
        values = image_values()
        print(f"installing {CHART.name} as {RELEASE} into {NAMESPACE} of {CONTEXT}, with")
        for program in ("operator", "gateway"):
            image = values[program]["image"]
            print(f"  {program:<10} {image['repository']}:{image['tag']}")
        print(f"  server     {values['server']['image'] or 'not built yet'}")
        print(f"  simulated  {values['server']['simulatedImage']}")
        print(f"  assistant  {values['assistant']['image'] or 'not built yet'}", flush=True)
        print(install())
    except HelmError as error:
        print(f"hack.install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
