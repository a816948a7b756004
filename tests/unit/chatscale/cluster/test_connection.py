"""Credentials arrive within a deadline, and a message names the places without them."""

import asyncio
from pathlib import Path

import pytest

from chatscale.cluster.connection import CREDENTIALS_TIMEOUT_S, bearer_token, load_configuration
from chatscale.errors import ClusterUnavailableError
from tests.support.clock import virtual_time_loop

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: shop
clusters: [{name: shop, cluster: {server: "https://api.shop.example:6443"}}]
users: [{name: me, user: {token: secret}}]
contexts: [{name: shop, context: {cluster: shop, user: me}}]
"""


class Credentials:
    """As a kubernetes.aio Configuration gives them, after some seconds."""

    def __init__(self, value: str | None, after_s: float = 0.0) -> None:
        self.value, self.after_s = value, after_s

    async def get_api_key_with_prefix(self, _name: str, alias: str) -> str | None:
        assert alias == "authorization"
        await asyncio.sleep(self.after_s)
        return self.value


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path


@pytest.fixture
def empty_kubeconfig(kubeconfig: Path) -> None:
    kubeconfig.write_text("apiVersion: v1\nkind: Config\n")


@pytest.mark.parametrize(
    ("value", "token"),
    [
        pytest.param("Bearer abc", "abc", id="with its scheme"),
        pytest.param("abc", "abc", id="bare"),
        pytest.param(None, None, id="none, as with client certificates"),
    ],
)
async def test_the_token_has_no_scheme(value: str | None, token: str | None):
    assert await bearer_token(Credentials(value)) == token


def test_waiting_for_credentials_ends_at_the_deadline():
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        with pytest.raises(ClusterUnavailableError, match="credentials were not renewed within 30 s"):
            runner.run(bearer_token(Credentials("abc", after_s=1e6)))
        assert runner.get_loop().time() == CREDENTIALS_TIMEOUT_S


@pytest.mark.usefixtures("kubeconfig")
async def test_a_context_of_the_kubeconfig_is_used():
    assert (await load_configuration("shop")).host == "https://api.shop.example:6443"


@pytest.mark.parametrize(
    ("context", "named"),
    [pytest.param("mall", "context 'mall'", id="named"), pytest.param("", "the current context", id="current")],
)
@pytest.mark.usefixtures("empty_kubeconfig")
async def test_missing_credentials_are_reported_with_the_places_searched(context: str, named: str):
    with pytest.raises(ClusterUnavailableError, match=named):
        await load_configuration(context)
