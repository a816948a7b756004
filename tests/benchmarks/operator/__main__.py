"""`python -m tests.benchmarks.operator`: what the operator costs the API server and the CPU while nothing happens.

Needs the kind cluster with the ChatModel CRD and without a running operator (`make cluster`). It runs the operator from
source in a namespace of its own, with the chart's rights, and counts every request in a proxy. About ten minutes.
"""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from hack import kube
from tests.integration.chart_rights import kubeconfig_of_chart
from tests.integration.operator_process import OperatorProcess
from tests.support.counting_proxy import counting_proxy
from tests.support.quiet_minute import kubeconfig_through, many_chatmodels, measure, upstream, wait_until_settled

APPLIED_AT_ONCE = 50


def main() -> int:
    """Measure and print. Returns 1 if another operator runs; the integration test has the limit for the numbers."""
    options = _options()
    if _other_operators():
        sys.stderr.write("another operator runs in this cluster and would serve the same ChatModels: stop it first\n")
        return 1
    namespace = f"quiet-{secrets.token_hex(3)}"
    kube.kubectl("create", "namespace", namespace)
    try:
        with tempfile.TemporaryDirectory() as folder:
            _measure(namespace, Path(folder), options)
    finally:
        kube.delete_namespace(namespace)
    return 0


def _measure(namespace: str, folder: Path, options: argparse.Namespace) -> None:
    kubeconfig = kubeconfig_of_chart(namespace, folder)
    models = many_chatmodels(namespace, options.chatmodels, options.in_mode_operator)
    with counting_proxy(upstream(kubeconfig)) as proxy:
        operator = OperatorProcess(namespace, folder / "operator.log", kubeconfig_through(proxy, kubeconfig, folder))
        operator.start()
        try:
            for start in range(0, len(models), APPLIED_AT_ONCE):
                kube.apply(*models[start : start + APPLIED_AT_ONCE])
            wait_until_settled(namespace, len(models), proxy, within_s=1200)
            created = proxy.counts().total()
            print(f"{len(models)} ChatModels created with {created} requests and {operator.cpu_s():.1f} s of CPU time")
            print(measure(operator, proxy, options.minutes))
        finally:
            operator.stop()


def _other_operators() -> str:
    """Names of running operator pods, of the chart."""
    return kube.kubectl("get", "pods", "-A", "-l", "app.kubernetes.io/name=chatscale-operator", "-o", "name").strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.operator", description=__doc__)
    parser.add_argument("--chatmodels", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--in-mode-operator", type=int, default=20, help="how many of them (default 20)")
    parser.add_argument("--minutes", type=float, default=5.0, help="of counting (default 5)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
