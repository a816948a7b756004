"""The flags that say where the gateway is and which key to use. Imports no optional package."""

import argparse
from pathlib import Path
from typing import Final

GATEWAY_NAMESPACE: Final = "chatscale-system"
"""Where the chart installs the gateway, and the default of `--namespace`."""
URL_VARIABLE: Final = "CHATSCALE_URL"
KEY_VARIABLE: Final = "CHATSCALE_API_KEY"


def add_gateway_options(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    group = parser.add_argument_group("gateway")
    add = group.add_argument
    add("--url", metavar="URL", help=f"address of the gateway (default: {URL_VARIABLE}, or a port-forward through the "
        "kubeconfig)")  # fmt: skip
    add("--ca-file", type=Path, metavar="FILE", help="PEM certificates of a private authority of the gateway's TLS")
    add("--key-file", type=Path, metavar="FILE",
        help=f"file with the API key; - is standard input (default: {KEY_VARIABLE}, or a prompt)")  # fmt: skip
    group = parser.add_argument_group("port-forward, without a URL")
    add = group.add_argument
    add("-n", "--namespace", metavar="NS", help=f"namespace of the gateway (default: {GATEWAY_NAMESPACE}, or the only "
        "one with a gateway)")  # fmt: skip
    add("--kubeconfig", metavar="FILE", help="kubeconfig (default: KUBECONFIG, or ~/.kube/config)")
    add("--context", metavar="NAME", help="context of the kubeconfig (default: the current one)")
