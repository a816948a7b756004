"""What `chatscale key` writes, the gateway reads: the same Secret, key, policy and times."""

import argparse
import io
from datetime import UTC, datetime, timedelta

from chatscale_cli.keys.command import run_action
from chatscale_cli.keys.options import add_options
from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_gateway.discovery.key_secrets import read_key_secret
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.keys.key_ring import KeyRing
from chatscale_gateway.routing.catalog import ModelKey
from tests.unit.chatscale_cli.keys.fake_secrets import FakeSecrets

NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Cluster:
    def __init__(self) -> None:
        self.secrets = FakeSecrets()

    def chatscale_key(self, *arguments: str, now: datetime = NOW) -> str:
        parser = argparse.ArgumentParser()
        add_options(parser)
        out = io.StringIO()
        run_action(parser.parse_args(arguments), self.secrets, now, out, io.StringIO())
        return out.getvalue().strip()

    def caller(self, key: str, now: datetime = NOW) -> Caller | None:
        """As a gateway in the namespace `gateways` decides it."""
        read = [
            read_key_secret(secret | {"metadata": secret["metadata"] | {"uid": "uid"}})
            for secret in self.secrets.stored.values()
        ]
        found = [secret.key for secret in read if secret is not None and secret.key is not None]
        return KeyRing(found, "gateways").authenticate(key, now)


def test_the_gateway_reads_the_policy_that_the_command_wrote():
    cluster = Cluster()
    key = cluster.chatscale_key(
        "create", "website", "--models", "shop", "--priority", "-5", "--expires", "1d", "--live"
    )

    caller = cluster.caller(key)

    policy = KeyPolicy(models=frozenset({"shop"}), priority=-5, expires=NOW + DAY, live=True)
    assert caller == Caller(KeyId("demo", "website"), policy, opens_all=False)
    assert [caller.may_use(ModelKey(*name)) for name in (("demo", "shop"), ("demo", "x"), ("other", "shop"))] == [
        True, False, False,
    ]  # fmt: skip
    assert cluster.caller(key, NOW + DAY) is None


def test_the_gateway_accepts_both_keys_in_the_overlap_and_none_that_is_revoked():
    cluster = Cluster()
    old = cluster.chatscale_key("create", "all", "-n", "gateways")
    new = cluster.chatscale_key("rotate", "all", "-n", "gateways", "--overlap", "24h")
    everything = Caller(KeyId("gateways", "all"))

    assert [cluster.caller(key) for key in (old, new)] == [everything, everything]
    assert [cluster.caller(key, NOW + DAY) for key in (old, new)] == [None, everything]
    cluster.chatscale_key("revoke", "all", "-n", "gateways")
    assert [cluster.caller(key) for key in (old, new)] == [None, None]
