"""`chatscale key` against Secrets in memory."""

import argparse
import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from chatscale_cli.errors import CommandError
from chatscale_cli.keys.command import run_action
from chatscale_cli.keys.interface import ConflictError, ExistsError, Manifest, NoAnswerError, NotFoundError
from chatscale_cli.keys.options import add_options
from chatscale_contract.gateway.key_secret import StoredKey, decode_data, key_data, parse_key_data
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from tests.unit.chatscale_cli.keys.fake_secrets import FakeSecrets

NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
SHOP = KeyId("demo", "shop")


@dataclass
class Terminal:
    """Runs commands, and keeps what they printed."""

    secrets: FakeSecrets = field(default_factory=FakeSecrets)
    now: datetime = NOW
    info: str = ""

    def run(self, *arguments: str) -> str:
        """Standard output."""
        parser = argparse.ArgumentParser()
        add_options(parser)
        out, info = io.StringIO(), io.StringIO()
        try:
            run_action(parser.parse_args(arguments), self.secrets, self.now, out, info)
        except CommandError:
            assert out.getvalue() == "", "a failed command prints no key"
            raise
        self.info = info.getvalue()
        return out.getvalue()

    def stored(self, key: KeyId = SHOP) -> StoredKey:
        return parse_key_data(decode_data(self.secrets.stored[key]["data"]))

    def opens(self, text: str, key: KeyId = SHOP) -> bool:
        """As the gateway decides it."""
        stored = self.stored(key)
        overlaps = stored.previous_expires is not None and self.now < stored.previous_expires
        return hash_key(text) in {stored.sha256, stored.previous_sha256 if overlaps else None}


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_create_prints_the_key_alone_so_that_a_shell_can_store_it(terminal: Terminal):
    out = terminal.run("create", "shop")
    key = out.removesuffix("\n")
    assert key.startswith("csk-")
    assert "\n" not in key
    assert terminal.stored() == StoredKey(hash_key(key))
    assert key not in terminal.info
    assert "namespace demo" in terminal.info


def test_create_stores_the_whole_policy(terminal: Terminal):
    terminal.run(
        "create", "shop", "-n", "store", "--models", "shop,sales", "store/help", "--requests-per-minute", "60",
        "--input-tokens-per-minute", "100000", "--output-tokens-per-minute", "20000", "--max-concurrency", "4",
        "--priority", "-5", "--expires", "30d", "--no-wake", "--live",
    )  # fmt: skip
    assert terminal.stored(KeyId("store", "shop")).policy == KeyPolicy(
        models=frozenset({"shop", "sales", "store/help"}),
        requests_per_minute=60,
        input_tokens_per_minute=100_000,
        output_tokens_per_minute=20_000,
        max_concurrency=4,
        priority=-5,
        expires=NOW + timedelta(days=30),
        wake=False,
        live=True,
    )


def test_the_secret_has_the_label_and_never_the_key(terminal: Terminal):
    key = terminal.run("create", "shop").strip()
    secret = terminal.secrets.stored[SHOP]
    assert secret["metadata"]["labels"] == {"chatscale.dev/api-key": "true"}
    assert decode_data(secret["data"]) == {"sha256": hash_key(key)}
    assert key not in str(secret)


def test_create_refuses_a_name_that_exists(terminal: Terminal):
    key = terminal.run("create", "shop").strip()
    with pytest.raises(ExistsError):
        terminal.run("create", "shop")
    assert terminal.opens(key)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["Shop"], "the name of a key must have", id="upper case"),
        pytest.param(["a/b"], "the name of a key must have", id="slash"),
        pytest.param(["shop", "-n", "../x"], "a namespace must have", id="namespace"),
        pytest.param(["shop", "--models", "UPPER"], "models must be", id="model"),
        pytest.param(["shop", "--models", ","], "--models must name at least one ChatModel", id="no model"),
        pytest.param(["shop", "--expires", "2026-11-27T19:00:00Z"], "--expires must be in the future", id="past"),
        pytest.param(["shop", "--expires", "0s"], "--expires must be in the future", id="now"),
    ],
)
def test_create_names_what_is_invalid_and_stores_nothing(terminal: Terminal, arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        terminal.run("create", *arguments)
    assert terminal.secrets.stored == {}


def test_rotate_keeps_the_old_key_for_the_overlap_and_the_policy_for_good(terminal: Terminal):
    old = terminal.run("create", "shop", "--models", "shop", "--priority", "7").strip()
    policy = terminal.stored().policy
    new = terminal.run("rotate", "shop", "--overlap", "2h").strip()
    assert new != old
    assert terminal.stored().policy == policy
    assert "2026-11-27T22:00:00Z" in terminal.info
    assert (terminal.opens(old), terminal.opens(new)) == (True, True)
    terminal.now += timedelta(hours=2)
    assert (terminal.opens(old), terminal.opens(new)) == (False, True)


def test_rotate_overlaps_for_a_day_by_default(terminal: Terminal):
    terminal.run("create", "shop")
    terminal.run("rotate", "shop")
    assert terminal.stored().previous_expires == NOW + timedelta(days=1)


def test_rotate_without_overlap_ends_the_old_key_at_once(terminal: Terminal):
    old = terminal.run("create", "shop").strip()
    new = terminal.run("rotate", "shop", "--overlap", "0s").strip()
    assert (terminal.opens(old), terminal.opens(new)) == (False, True)
    assert terminal.stored().previous_sha256 is None


def test_a_second_rotation_waits_for_the_first_unless_forced(terminal: Terminal):
    first = terminal.run("create", "shop").strip()
    second = terminal.run("rotate", "shop").strip()
    with pytest.raises(CommandError, match=r"valid until 2026-11-28T20:00:00Z.*--force"):
        terminal.run("rotate", "shop")
    assert (terminal.opens(first), terminal.opens(second)) == (True, True)
    third = terminal.run("rotate", "shop", "--force").strip()
    assert (terminal.opens(first), terminal.opens(second), terminal.opens(third)) == (False, True, True)


def test_a_rotation_whose_overlap_ended_needs_no_force(terminal: Terminal):
    terminal.run("create", "shop")
    second = terminal.run("rotate", "shop", "--overlap", "1h").strip()
    terminal.now += timedelta(hours=1)
    third = terminal.run("rotate", "shop").strip()
    assert (terminal.opens(second), terminal.opens(third)) == (True, True)


def test_rotate_does_not_overwrite_a_concurrent_change(terminal: Terminal):
    key = terminal.run("create", "shop").strip()
    terminal.secrets.changed_by_others = True
    with pytest.raises(ConflictError, match=r"demo/shop changed while it was rotated.*run the command again"):
        terminal.run("rotate", "shop")
    assert terminal.stored().sha256 == hash_key(key)


def test_rotate_keeps_metadata_of_others(terminal: Terminal):
    terminal.run("create", "shop")
    terminal.secrets.stored[SHOP]["metadata"]["annotations"] = {"owner": "team-a"}
    terminal.run("rotate", "shop")
    assert terminal.secrets.stored[SHOP]["metadata"]["annotations"] == {"owner": "team-a"}


def _expired(secret: Manifest) -> None:
    data = key_data(StoredKey("a" * 64, KeyPolicy(expires=NOW)))
    secret |= _with_data(data)


def _with_data(data: dict[str, str]) -> Manifest:
    return {"data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}}


def _malformed(secret: Manifest) -> None:
    secret |= _with_data({"sha256": "b" * 64, "requestsPerMinute": "many"})


def _immutable(secret: Manifest) -> None:
    secret["immutable"] = True


def _unlabelled(secret: Manifest) -> None:
    del secret["metadata"]["labels"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(_expired, "demo/shop expired at 2026-11-27T20:00:00Z", id="expired"),
        pytest.param(_malformed, "demo/shop is malformed.*requestsPerMinute", id="malformed"),
        pytest.param(_immutable, "demo/shop is immutable", id="immutable"),
        pytest.param(_unlabelled, "demo/shop is not an API key", id="another Secret"),
    ],
)
def test_rotate_refuses_what_is_no_usable_key(terminal: Terminal, change: Callable[[Manifest], None], message: str):
    terminal.run("create", "shop")
    change(terminal.secrets.stored[SHOP])
    with pytest.raises(CommandError, match=message):
        terminal.run("rotate", "shop", "--force")


def test_revoke_deletes_the_key_whatever_is_in_it(terminal: Terminal):
    terminal.run("create", "shop")
    _malformed(terminal.secrets.stored[SHOP])
    assert terminal.run("revoke", "shop") == ""
    assert terminal.secrets.stored == {}
    assert "within 5 seconds" in terminal.info


def test_revoke_deletes_no_secret_that_is_not_a_key(terminal: Terminal):
    terminal.run("create", "shop")
    _unlabelled(terminal.secrets.stored[SHOP])
    with pytest.raises(CommandError, match="is not an API key"):
        terminal.run("revoke", "shop")
    assert SHOP in terminal.secrets.stored


def test_revoke_does_not_delete_a_secret_that_changed(terminal: Terminal):
    terminal.run("create", "shop")
    terminal.secrets.changed_by_others = True
    with pytest.raises(ConflictError, match="changed while it was revoked"):
        terminal.run("revoke", "shop")
    assert SHOP in terminal.secrets.stored


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_key_that_does_not_exist_is_named(terminal: Terminal, action: str):
    with pytest.raises(NotFoundError, match="shop"):
        terminal.run(action, "shop")


def test_list_shows_policy_and_state_and_never_a_hash(terminal: Terminal):
    terminal.run("create", "batch", "--priority", "-10", "--no-wake", "--input-tokens-per-minute", "1000")
    terminal.run("create", "shop", "--models", "shop", "--requests-per-minute", "60", "--expires", "1h", "--live")
    terminal.run("rotate", "batch")
    terminal.run("create", "broken")
    _malformed(terminal.secrets.stored[KeyId("demo", "broken")])
    terminal.run("create", "other", "-n", "elsewhere")
    terminal.now += timedelta(hours=1)
    out = terminal.run("list")
    assert [line.split(maxsplit=7) for line in out.splitlines()] == [
        ["NAMESPACE", "NAME", "MODELS", "LIMITS", "PRIORITY", "EXPIRES", "OPTIONS", "STATE"],
        ["demo", "batch", "all", "input=1000/min", "-10", "-", "no-wake", "rotating until 2026-11-28T20:00:00Z"],
        [
            "demo", "broken", "-", "-", "-", "-", "-",
            "malformed: requestsPerMinute must be a whole number from 1 to 1000000000000, found 'many'",
        ],
        ["demo", "shop", "shop", "requests=60/min", "0", "2026-11-27T21:00:00Z", "live", "expired"],
    ]  # fmt: skip
    hashes = {found for key in (KeyId("demo", "batch"), SHOP) for found in [terminal.stored(key).sha256]}
    assert not [found for found in hashes if found[:8] in out]


def test_list_shows_keys_that_share_a_hash_as_off(terminal: Terminal):
    terminal.run("create", "shop")
    copied = KeyId("elsewhere", "copy")
    terminal.run("create", "copy", "-n", "elsewhere")
    terminal.secrets.stored[copied]["data"] = terminal.secrets.stored[SHOP]["data"]
    lines = terminal.run("list", "-A").splitlines()[1:]
    assert [line.endswith("off: another Secret has a key with the same hash") for line in lines] == [True, True]


def test_list_of_all_namespaces_shows_the_others_too(terminal: Terminal):
    terminal.run("create", "shop")
    terminal.run("create", "other", "-n", "elsewhere")
    names = [line.split()[1] for line in terminal.run("list", "-A").splitlines()[1:]]
    assert names == ["shop", "other"]


def test_a_list_without_keys_says_so_beside_standard_output(terminal: Terminal):
    assert terminal.run("list") == ""
    assert terminal.info == "no keys in namespace demo\n"


@pytest.mark.parametrize("action", ["create", "rotate"])
def test_a_write_whose_answer_was_lost_still_gives_its_key(terminal: Terminal, action: str):
    if action == "rotate":
        terminal.run("create", "shop")
    terminal.secrets.loses_answers = True
    assert terminal.opens(terminal.run(action, "shop").strip())


@pytest.mark.parametrize("action", ["create", "rotate"])
def test_a_write_that_was_lost_is_an_error(terminal: Terminal, action: str):
    if action == "rotate":
        terminal.run("create", "shop")
    terminal.secrets.loses_requests = True
    with pytest.raises(NoAnswerError, match="did not answer"):
        terminal.run(action, "shop")


def test_an_unknown_result_is_called_unknown(terminal: Terminal):
    terminal.secrets.loses_answers = terminal.secrets.unreadable = True
    with pytest.raises(NoAnswerError, match="not known whether key demo/shop was stored"):
        terminal.run("create", "shop")
