"""The flags of `chatscale usage`. Imports no optional package: `chatscale --help` needs them too."""

import argparse
from enum import StrEnum
from pathlib import Path
from typing import Final

from chatscale_cli.keys.options import expiry

GATEWAY_NAMESPACE: Final = "chatscale-system"
STANDARD_INPUT: Final = Path("-")
_DESCRIPTION: Final = """\
Tokens and money by API key and model, from the access log of the gateway. Without FILE the command reads the logs of
the gateway's pods and the prices of the ChatModels (spec.price) from the cluster:

  chatscale usage --since 24h
  kubectl logs -n chatscale-system -l app.kubernetes.io/name=chatscale-gateway --tail=-1 | chatscale usage -

A cluster keeps the last part of a pod's log, and none of a deleted pod. For bills, store the log elsewhere.
"""


class Column(StrEnum):
    """What the rows of a report are grouped by."""

    KEY = "key"
    MODEL = "model"
    NAMESPACE = "namespace"
    DAY = "day"


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE", help="access log; - is standard input (default: the cluster)")
    add("--since", type=expiry, metavar="TIME", help="requests that ended after it: 24h, or 2026-11-01T00:00:00Z")
    add("--until", type=expiry, metavar="TIME", help="requests that ended before it, in the same form")
    by = [Column.KEY, Column.MODEL]
    add(
        "--by",
        type=_columns,
        default=by,
        metavar="COLUMNS",
        help="group by key, model, namespace, day (default key,model)",
    )
    add("--format", type=Format, choices=list(Format), default=Format.TABLE, help="default table")
    add("--prices", nargs="+", type=Path, default=[], metavar="FILE", help="YAML of ChatModels with spec.price")
    group = parser.add_argument_group("cluster, without FILE")
    group.add_argument("-n", "--namespace", default=GATEWAY_NAMESPACE, metavar="NS",
                       help=f"namespace of the gateway (default {GATEWAY_NAMESPACE})")  # fmt: skip
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig (default: KUBECONFIG, or ~/.kube/config)")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: the current one)")


def _columns(text: str) -> list[Column]:
    names = text.split(",")
    if not set(names) <= set(Column) or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"must be some of {','.join(Column)}, found {text!r}")
    return [Column(name) for name in names]
