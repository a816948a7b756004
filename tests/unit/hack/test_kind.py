"""kind's configuration is one file for both ways."""

import pytest

from hack.cluster.kind import render_config
from hack.paths import ROOT


def test_kinds_own_network_is_used_only_where_it_can_be_pulled():
    template = (ROOT / "manifests/kind/cluster.yaml").read_text()
    assert render_config(template, with_kind_network=False) == template
    assert "disableDefaultCNI: false" in render_config(template, with_kind_network=True)


def test_a_configuration_without_the_line_is_a_bug():
    with pytest.raises(ValueError, match="lacks the line"):
        render_config("kind: Cluster", with_kind_network=True)
