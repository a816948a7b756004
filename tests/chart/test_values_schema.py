"""A typo in the values stops the installation with a message that names the value."""

from typing import Any

import pytest

from hack.helm import HelmError, template
from tests.contract.test_guide_examples import DOCUMENTS, manifests


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"scop": "Cluster"}, "at '': additional properties 'scop' not allowed", id="unknown value"),
        pytest.param(
            {"operator": {"image": "me/operator:1"}},
            "at '/operator/image': got string, want object",
            id="image as text",
        ),
        pytest.param(
            {"server": {"img": "x"}}, "at '/server': additional properties 'img' not allowed", id="unknown nested value"
        ),
        pytest.param({"scope": "All"}, "at '/scope': value must be one of 'Cluster', 'Namespace'", id="unknown scope"),
        pytest.param(
            {"namespaces": ["shop"]}, "at '/namespaces': maxItems: got 1, want 0", id="namespaces with scope Cluster"
        ),
        pytest.param(
            {"scope": "Namespace", "namespaces": ["a,b"]},
            "at '/namespaces/0': 'a,b' does not match pattern",
            id="two namespaces in one text",
        ),
        pytest.param(
            {"logLevel": "info"},
            "at '/logLevel': value must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'",
            id="log level in lower case",
        ),
        pytest.param({"metrics": {"port": "9100"}}, "at '/metrics/port': got string, want integer", id="port as text"),
        pytest.param(
            {"metrics": {"port": 80}}, "at '/metrics/port': minimum: got 80, want 1,024", id="port that needs root"
        ),
        pytest.param(
            {"serviceAccount": {"create": False}},
            "at '/serviceAccount/name': minLength: got 0, want 1",
            id="no service account at all",
        ),
        pytest.param(
            {"server": {"image": "two words"}}, "at '/server/image': 'two words' does not match", id="space in an image"
        ),
        pytest.param({"crds": {"install": "no"}}, "at '/crds/install': got string, want boolean", id="switch as text"),
    ],
)
def test_refuses(values: dict[str, Any], message: str):
    with pytest.raises(HelmError) as refusal:
        template(values)

    assert message in str(refusal.value)


def documented_values() -> list[Any]:
    """The values of the chart in YAML blocks of the guide."""
    found = [(path.stem, block) for path in DOCUMENTS for block in manifests(path)]
    values = [pair for pair in found if pair[1].keys() <= {"gateway", "networkPolicy", "operator"}]
    return [pytest.param(block, id=f"{name}-{n}") for n, (name, block) in enumerate(values)]


@pytest.mark.parametrize("values", documented_values())
def test_takes_the_values_that_the_guide_shows(values: dict[str, Any]):
    template(values)


def test_the_guide_shows_values():
    assert len(documented_values()) > 10


def test_takes_the_globals_of_a_parent_chart():
    template({"global": {"anything": 1}})
