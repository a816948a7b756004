"""What the operator costs the API server while nothing happens. Every request passes a proxy that counts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack import kube
from tests.integration.chart_rights import kubeconfig_of_chart
from tests.integration.operator_process import OperatorProcess
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.quiet_minute import kubeconfig_through, many_chatmodels, measure, upstream, wait_until_settled

COUNT = 60
"""A sample: `python -m tests.benchmarks.operator` measures 200."""
IN_MODE_OPERATOR = 5
MOST_REQUESTS_PER_MINUTE = 30
"""Of the 60 for 200 ChatModels, so that a cost that grows with their number shows in the sample."""


@pytest.fixture
def proxy(namespace: str, tmp_path: Path) -> Iterator[tuple[CountingProxy, Path]]:
    """A proxy, and a kubeconfig with the chart's rights that goes through it."""
    kubeconfig = kubeconfig_of_chart(namespace, tmp_path)
    with counting_proxy(upstream(kubeconfig)) as running:
        yield running, kubeconfig_through(running, kubeconfig, tmp_path)


@pytest.mark.usefixtures("chart_operator_paused")
def test_a_quiet_minute_costs_few_requests_whatever_the_number_of_chatmodels(
    namespace: str, proxy: tuple[CountingProxy, Path], tmp_path: Path
):
    counting, kubeconfig = proxy
    operator = OperatorProcess(namespace, tmp_path / "operator.log", kubeconfig)
    operator.start()
    try:
        for part in range(0, COUNT, 50):
            kube.apply(*many_chatmodels(namespace, COUNT, IN_MODE_OPERATOR)[part : part + 50])
        wait_until_settled(namespace, COUNT, counting, within_s=600)
        # The benchmark (tests/benchmarks/operator) measures longer than the four minutes after which watches reconnect.
        cost = measure(operator, counting, minutes=1)
    finally:
        operator.stop()
    assert cost.requests_per_minute <= MOST_REQUESTS_PER_MINUTE, str(cost)
    assert "traceback" not in operator.log.read_text().lower()
