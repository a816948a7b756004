"""The environment is read once, and a wrong one stops the server with one readable line."""

import pytest

from chatscale_contract.server.environment import EngineName, SimulatedProfile
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError
from chatscale_server.settings import Device, Dtype, Settings, read_settings

SIMULATED = {"CHATSCALE_ENGINE": "Simulated"}


def test_reads_every_variable():
    settings = read_settings(
        {
            "CHATSCALE_MODEL_URI": "pvc://models/tiny",
            "CHATSCALE_MODEL_REVISION": "abc",
            "CHATSCALE_ALLOW_PICKLED_WEIGHTS": "true",
            "CHATSCALE_TRUST_REMOTE_CODE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
            "CHATSCALE_SERVED_NAME": "shop",
            "CHATSCALE_CHATMODEL_NAME": "shop-chat",
            "CHATSCALE_CHAT_TEMPLATE": "{{ messages }}",
            "CHATSCALE_ENGINE": "Transformers",
            "CHATSCALE_DEVICE": "cuda",
            "CHATSCALE_DTYPE": "bfloat16",
            "CHATSCALE_MAX_MODEL_LEN": "4096",
            "CHATSCALE_MAX_CONCURRENCY": "16",
            "CHATSCALE_MAX_QUEUE": "0",
            "CHATSCALE_QUEUE_TIMEOUT_SECONDS": "30",
            "CHATSCALE_DRAIN_DELAY_SECONDS": "1.5",
            "CHATSCALE_DRAIN_TIMEOUT_SECONDS": "90",
            "CHATSCALE_CPU_LIMIT": "2",
            "CHATSCALE_MEMORY_LIMIT_BYTES": "1000000",
            "CHATSCALE_SIMULATED_PROFILE": "70b-4xh100",
            "CHATSCALE_SIMULATED_STARTUP_SECONDS": "7",
            "CHATSCALE_LOG_LEVEL": "debug",
            "CHATSCALE_MAX_WAITING_PROMPT_TOKENS": "5000",
            "CHATSCALE_MAX_BEAMS": "8",
            "CHATSCALE_SLO_TTFT_MILLISECONDS": "500",
            "CHATSCALE_SLO_TPOT_MILLISECONDS": "50",
            "HF_TOKEN": "secret",
            "PATH": "/bin",
        }
    )
    assert settings == Settings(
        model_uri="pvc://models/tiny",
        model_revision="abc",
        allow_pickled_weights=True,
        trust_remote_code=True,
        otlp_endpoint="http://collector:4318",
        served_name="shop",
        chatmodel_name="shop-chat",
        chat_template="{{ messages }}",
        engine=EngineName.TRANSFORMERS,
        device=Device.CUDA,
        dtype=Dtype.BFLOAT16,
        max_model_len=4096,
        max_concurrency=16,
        max_queue=0,
        max_waiting_prompt_tokens=5000,
        max_beams=8,
        slo_ttft_milliseconds=500,
        slo_tpot_milliseconds=50,
        queue_timeout_s=30.0,
        drain_delay_s=1.5,
        drain_timeout_s=90.0,
        cpu_limit=2.0,
        memory_limit_bytes=1_000_000,
        simulated_profile=SimulatedProfile.LLAMA_70B_4XH100,
        simulated_startup_s=7.0,
        log_level="DEBUG",
    )


def test_serves_under_the_model_s_own_name_by_default():
    assert read_settings({"CHATSCALE_MODEL_URI": "hf://owner/name"}).served_name == "name"


def test_the_simulated_engine_needs_no_model():
    assert read_settings(SIMULATED) == Settings(served_name="simulated", engine=EngineName.SIMULATED)


def test_an_empty_value_counts_as_not_given():
    assert read_settings({**SIMULATED, "CHATSCALE_MAX_QUEUE": ""}).max_queue == 64


def test_unknown_variables_are_logged_and_ignored(caplog):
    newer = {"CHATSCALE_WARP_FACTOR": "9", "CHATSCALE_HOLODECK": "on"}

    assert read_settings({**SIMULATED, **newer}) == read_settings(SIMULATED)

    told = [(record.levelname, record.msg, record.settings) for record in caplog.records]
    assert told == [("WARNING", "unknown settings", ["CHATSCALE_HOLODECK", "CHATSCALE_WARP_FACTOR"])]


def test_ignores_the_service_links_that_kubelet_injects(caplog):
    links = {
        "CHATSCALE_OPERATOR_SERVICE_HOST": "10.0.0.1",
        "CHATSCALE_OPERATOR_SERVICE_PORT_HTTP": "80",
        "CHATSCALE_OPERATOR_PORT": "tcp://10.0.0.1:80",
        "CHATSCALE_OPERATOR_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings({**SIMULATED, **links}) == read_settings(SIMULATED)
    assert not caplog.records


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({}, "CHATSCALE_MODEL_URI must be hf://", id="no-model"),
        pytest.param({"CHATSCALE_MODEL_URI": "gs://x"}, 'file:///path, found "gs://x"', id="scheme"),
        pytest.param({"CHATSCALE_MODEL_URI": "s3://x"}, "mount the bucket as a volume", id="bucket"),
        pytest.param({**SIMULATED, "CHATSCALE_TRUST_REMOTE_CODE": "yes"}, 'true or false, found "yes"', id="flag"),
        pytest.param({"CHATSCALE_ENGINE": "simulated"}, 'Transformers, Simulated, found "simulated"', id="engine"),
        pytest.param({**SIMULATED, "CHATSCALE_MAX_QUEUE": "-1"}, "whole number from 0 to 100000", id="negative"),
        pytest.param({**SIMULATED, "CHATSCALE_MAX_CONCURRENCY": "1.5"}, "whole number from 1 to 512", id="fraction"),
        pytest.param({**SIMULATED, "CHATSCALE_SLO_TTFT_MILLISECONDS": "0"}, "number from 1 to 600000", id="no-ttft"),
        pytest.param({**SIMULATED, "CHATSCALE_SLO_TPOT_MILLISECONDS": "0.1"}, "number from 1 to 60000", id="seconds"),
        pytest.param({**SIMULATED, "CHATSCALE_DRAIN_DELAY_SECONDS": "nan"}, 'found "nan"', id="nan"),
        pytest.param(
            {**SIMULATED, "CHATSCALE_LOG_LEVEL": "loud"},
            'one of DEBUG, INFO, WARNING, ERROR, found "loud"',
            id="log-level",
        ),
    ],
)
def test_refuses_a_bad_environment_by_name(environment, message):
    with pytest.raises(StartupError) as caught:
        read_settings(environment)
    assert message in str(caught.value)
    assert caught.value.code == ExitCode.BAD_SETTINGS


def test_uses_no_more_threads_than_the_limit_allows():
    assert Settings(served_name="x", cpu_limit=1.9).cpu_threads == 1
    assert Settings(served_name="x", cpu_limit=0.5).cpu_threads == 1


def test_settings_are_read_from_the_given_environment_only(monkeypatch):
    monkeypatch.setenv("CHATSCALE_MAX_QUEUE", "7")
    assert read_settings(SIMULATED).max_queue == Settings(engine=EngineName.SIMULATED).max_queue == 64


def test_a_variable_that_is_named_like_a_field_is_not_read():
    assert read_settings({**SIMULATED, "max_queue": "7", "MAX_QUEUE": "7"}).max_queue == 64
