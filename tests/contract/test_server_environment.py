"""The server reads the environment that the operator gives a replica, field by field."""

from typing import Any

import pytest

from chatscale.desired.objectives import build_objectives
from chatscale.desired.workload import ServerImages, build_deployment
from chatscale_contract.server.endpoints import SLO_FILE_PATH
from chatscale_contract.server.environment import EngineName, Env, SimulatedProfile
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.settings import Device, Dtype, Settings, read_settings
from tests.support.builders import a_chatmodel

IMAGES = ServerImages("server:1", "simulated:1")
FROM_THE_POD = {Env.CPU_LIMIT.value: "2", Env.MEMORY_LIMIT_BYTES.value: "8589934592", Env.HF_TOKEN.value: "hf_secret"}
"""Values that the kubelet inserts for `valueFrom`."""

EVERYTHING: dict[str, Any] = {
    "model": {
        "uri": "hf://owner/model",
        "revision": "abc123",
        "servedName": "support",
        "tokenSecretRef": {"name": "hf", "key": "token"},
        "chatTemplate": "{{ messages }} $(NOT_EXPANDED)",
    },
    "device": "GPU",
    "resources": {"limits": {"nvidia.com/gpu": 1}},
    "server": {
        "engine": "Transformers",
        "dtype": "bfloat16",
        "maxModelLen": 4096,
        "maxConcurrency": 16,
        "maxQueue": 0,
        "queueTimeoutSeconds": 30,
    },
    "drain": {"timeoutSeconds": 240, "preStopDelaySeconds": 0},
}


def environment(**spec: Any) -> dict[str, str]:
    """As the container sees it: the kubelet resolves `valueFrom` and turns `$$(` into `$(`."""
    deployment = build_deployment(a_chatmodel().with_spec(**spec).build(), IMAGES)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {
        entry["name"]: entry["value"].replace("$$(", "$(") if "value" in entry else FROM_THE_POD[entry["name"]]
        for entry in container["env"]
    }


def objectives(**spec: Any) -> LatencyObjectives:
    """As the server reads them."""
    (content,) = build_objectives(a_chatmodel().with_spec(**spec).build())["data"].values()
    return LatencyObjectives.from_json(content)


def test_a_replica_gets_every_field_of_the_spec():
    assert read_settings(environment(**EVERYTHING)) == Settings(
        model_uri="hf://owner/model",
        model_revision="abc123",
        served_name="support",
        chatmodel_name="tiny",
        chat_template="{{ messages }} $(NOT_EXPANDED)",
        engine=EngineName.TRANSFORMERS,
        device=Device.CUDA,
        dtype=Dtype.BFLOAT16,
        max_model_len=4096,
        max_concurrency=16,
        max_queue=0,
        queue_timeout_s=30.0,
        drain_delay_s=0.0,
        drain_timeout_s=240.0,
        cpu_limit=2.0,
        memory_limit_bytes=8 * 2**30,
    )


def test_a_simulated_replica_gets_its_profile():
    spec = {"server": {"engine": "Simulated", "simulated": {"profile": "8b-h100", "startupSeconds": 7}}}
    settings = read_settings(environment(**spec))

    assert settings.engine is EngineName.SIMULATED
    assert settings.simulated_profile is SimulatedProfile.LLAMA_8B_H100
    assert settings.simulated_startup_s == pytest.approx(7.0)


def test_every_variable_of_the_contract_is_set_for_some_model():
    simulated = environment(server={"engine": "Simulated"})
    # Set by users in spec.server.env or envFrom; the operator keeps the server's defaults.
    known = set(Env) - {
        Env.LOG_LEVEL, Env.CORS_ORIGINS, Env.MAX_WAITING_PROMPT_TOKENS, Env.MAX_BEAMS, Env.OTLP_ENDPOINT,
        Env.ALLOW_PICKLED_WEIGHTS, Env.TRUST_REMOTE_CODE, Env.TOOL_FORMAT, Env.REASONING_FORMAT,
        Env.SLO_TTFT_MILLISECONDS, Env.SLO_TPOT_MILLISECONDS,  # of a server without a file
    }  # fmt: skip

    assert {name for name in {**environment(**EVERYTHING), **simulated} if name in set(Env)} == known


@pytest.mark.parametrize("spec", [EVERYTHING, {"server": {"engine": "Simulated"}}], ids=["everything", "simulated"])
def test_every_variable_that_the_operator_sets_is_in_the_contract(spec: dict[str, Any]):
    # The server ignores unknown variables, so no other test would notice a misspelt name.
    assert set(environment(**spec)) - set(Env) == {"HOME"}


@pytest.mark.parametrize("field", ["maxConcurrency", "maxQueue", "queueTimeoutSeconds", "maxModelLen"])
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_the_server_accepts_the_whole_range_that_the_crd_allows(field: str, end: str, spec_schema: dict[str, Any]):
    bound = spec_schema["properties"]["server"]["properties"][field][end]

    read_settings(environment(server={"engine": "Simulated", field: bound}))


@pytest.mark.parametrize("field", ["timeoutSeconds", "preStopDelaySeconds"])
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_the_server_accepts_every_drain_that_the_crd_allows(field: str, end: str, spec_schema: dict[str, Any]):
    bound = spec_schema["properties"]["drain"]["properties"][field][end]

    read_settings(environment(drain={field: bound}))


@pytest.mark.parametrize("field", ["ttftMilliseconds", "tpotMilliseconds"])
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_the_server_accepts_every_objective_that_the_crd_allows(field: str, end: str, spec_schema: dict[str, Any]):
    bound = spec_schema["properties"]["autoscaling"]["properties"]["slo"]["properties"][field][end]
    limits_ms = {"ttftMilliseconds": 2000, "tpotMilliseconds": 100, field: bound}

    assert objectives(autoscaling={"slo": {field: bound}}) == LatencyObjectives(
        limits_ms["ttftMilliseconds"] / 1000, limits_ms["tpotMilliseconds"] / 1000
    )


def test_the_file_that_the_server_reads_is_the_one_that_the_pod_mounts():
    chatmodel = a_chatmodel().build()
    (container,) = build_deployment(chatmodel, IMAGES)["spec"]["template"]["spec"]["containers"]
    (key,) = build_objectives(chatmodel)["data"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}

    assert f"{mounts['slo']}/{key}" == SLO_FILE_PATH
