"""The chart's README, from Chart.yaml and the `# --` comments of values.yaml.

Refuses a value without documentation and a comment that belongs to no value, so the table is always whole.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from hack.generators.markdown import GENERATED, table

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):")
_COMMENT = re.compile(r"^ *# -- (?P<text>.+)$")


@dataclass(frozen=True, slots=True)
class DocumentedValue:
    """One row: `path` is dotted, `default` as YAML has it."""

    path: str
    default: Any
    text: str


def documented_values(values_yaml: str) -> list[DocumentedValue]:
    """Read values.yaml in its own order. ValueError names a value without `# --`, or a comment without a value."""
    values = yaml.safe_load(values_yaml)
    rows = [DocumentedValue(path, _at(values, path), text) for path, text in _comments(values_yaml)]
    covered = [row.path for row in rows]
    for path in _leaves(values):
        if not any(path == known or path.startswith(f"{known}.") for known in covered):
            raise ValueError(f"values.yaml: {path} has no `# --` comment on the line above it")
    return rows


def render(chart_yaml: str, values_yaml: str) -> str:
    """Write the whole README.md."""
    chart = yaml.safe_load(chart_yaml)
    rows = [(f"`{row.path}`", f"`{json.dumps(row.default)}`", row.text) for row in documented_values(values_yaml)]
    return _TEMPLATE.format(
        generated=GENERATED.format(source="values.yaml and Chart.yaml"),
        description=chart["description"],
        version=chart["version"],
        app_version=chart["appVersion"],
        kube_version=chart["kubeVersion"].removesuffix("-0").replace(">=", ""),
        table=table(("Value", "Default", "Meaning"), rows),
    )


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of dotted path and comment. The file is indented by two spaces, as the parser below relies on."""
    parents: list[str] = []
    pending: str | None = None
    for line in text.splitlines():
        if comment := _COMMENT.match(line):
            if pending is not None:
                raise ValueError(f"values.yaml: the comment {pending!r} is followed by another one, not by a value")
            pending = comment["text"]
        elif key := _KEY.match(line):
            parents = [*parents[: len(key["indent"]) // 2], key["key"]]
            if pending is not None:
                yield ".".join(parents), pending
                pending = None


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path


def _at(values: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


_TEMPLATE = """\
{generated}

# chatscale

{description}. Chart {version}, application {app_version}; needs Kubernetes {kube_version} or later and Helm 3.

```sh
helm upgrade --install chatscale charts/chatscale \\
  --namespace chatscale-system --create-namespace --wait \\
  --set operator.image.repository=REGISTRY/operator --set operator.image.tag=TAG \\
  --set gateway.image.repository=REGISTRY/gateway --set gateway.image.tag=TAG \\
  --set server.image=REGISTRY/server:TAG --set server.simulatedImage=REGISTRY/server-simulated:TAG
```

No image is published yet. Build the images, push them to a registry that your nodes can pull from, and name them as
above. [The install guide](../../docs/guide/install.md) has every step. On the kind cluster of this repository,
`make install` does all of this.

## Where the operator and the gateway may act

With `scope: Cluster` (the default), a ClusterRole lets the operator serve the ChatModels of every namespace. With
`scope: Namespace` the operator has a Role in each of `namespaces` and no right elsewhere. The person who installs then
needs no cluster-wide rights either, if the CRD exists already (`crds.install: false`). In neither case may the operator
read Secrets or execute commands in pods. The gateway reads ChatModels and pods by the same scope. It
also reads Secrets and creates Events, only in the namespaces of API keys (`gateway.auth.secretNamespaces`).

## Upgrade and uninstall

`helm upgrade` also upgrades the CRD, because the CRD is one of the chart's templates. `helm uninstall` removes the
operator and the gateway, and keeps the CRD, every ChatModel and their running pods. Nothing scales those pods any more.
To remove everything, delete the ChatModels first:

```sh
kubectl delete chatmodels,shopassistants --all --all-namespaces
helm uninstall chatscale --namespace chatscale-system
kubectl delete crd chatmodels.chatscale.dev shopassistants.chatscale.dev
```

A CRD that was kept belongs to the release that installed it. Install again under the same release name and namespace,
or set `crds.install: false`.

## Values

{table}"""
