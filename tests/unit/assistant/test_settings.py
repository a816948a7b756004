"""Settings: a variable is either valid, or refused in one line that names it."""

from pathlib import Path

import pytest

from chatscale_assistant.settings import ENV_PREFIX, SecretFiles, Settings
from chatscale_contract.assistant.endpoints import GATEWAY_URL_VARIABLE, GRACE_VARIABLE, SPEC_FILE
from chatscale_process.settings import LogFormat, SettingsError


def test_an_empty_environment_gives_the_paths_of_the_contract():
    assert Settings.from_env({"PATH": "/bin"}) == Settings()
    assert Settings().spec_file == Path(SPEC_FILE)


def test_reads_every_setting():
    values = {
        "gateway_url": "http://gw", "port": "1", "config_folder": "/c", "knowledge_folder": "/k",
        "secrets_folder": "/s", "index_folder": "/i", "evaluation_file": "/e", "max_running": "2", "max_waiting": "0",
        "max_model_calls": "0", "drain_delay_seconds": "1", "grace_seconds": "9", "log_level": "DEBUG",
        "log_format": "text",
    }  # fmt: skip
    assert values.keys() == Settings.model_fields.keys()

    found = Settings.from_env({ENV_PREFIX + name.upper(): value for name, value in values.items()})

    assert found == Settings(
        gateway_url="http://gw", port=1, config_folder=Path("/c"), knowledge_folder=Path("/k"),
        secrets_folder=Path("/s"), index_folder=Path("/i"), evaluation_file=Path("/e"), max_running=2, max_waiting=0,
        max_model_calls=0, drain_delay_seconds=1, grace_seconds=9, log_level="DEBUG", log_format=LogFormat.TEXT,
    )  # fmt: skip


def test_the_variables_of_the_contract_are_settings():
    found = Settings.from_env({GATEWAY_URL_VARIABLE: "http://gw", GRACE_VARIABLE: "30"})

    assert (found.gateway_url, found.grace_seconds) == ("http://gw", 30)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "0", "CHATSCALE_ASSISTANT_PORT must be a TCP port from 1 to 65535, found '0'"),
        ("GATEWAY_URL", "gw", "must be a URL such as http://chatscale-gateway.chatscale, found 'gw'"),
        ("GRACE_SECONDS", "5", "DRAIN_DELAY_SECONDS must be below CHATSCALE_ASSISTANT_GRACE_SECONDS, found 5 and 5"),
        ("PROT", "1", "CHATSCALE_ASSISTANT_PROT is not a setting of the assistant"),
    ],
)
def test_refuses_a_wrong_variable_in_one_line(name, value, message):
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({ENV_PREFIX + name: value})

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_variables_of_a_service_are_no_settings():
    assert Settings.from_env({"CHATSCALE_ASSISTANT_SERVICE_HOST": "10.0.0.1"}) == Settings()


def test_a_replaced_secret_is_read_again(tmp_path):
    files = SecretFiles(tmp_path)
    assert files.read("model/key") == ""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/key").write_text("one\n")
    assert files.read("model/key") == "one"
    (tmp_path / "model/key").write_text("two")
    assert files.read("model/key") == "two"
