"""The container of our server."""

from typing import Any

import pytest

from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.runtimes.chatscale_server import CHATSCALE_SERVER
from chatscale_contract.server.environment import Env
from tests.support.chatmodels import a_chatmodel


def env(chatmodel: ChatModel) -> dict[str, Any]:
    entries = CHATSCALE_SERVER.container(chatmodel)["env"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}


def test_settings_of_the_simulated_engine_reach_no_other_engine() -> None:
    simulated = env(a_chatmodel(server={"engine": "Simulated", "simulated": {"startupSeconds": 2}}))
    assert simulated[Env.SIMULATED_STARTUP_SECONDS] == "2"
    assert Env.SIMULATED_PROFILE not in env(a_chatmodel())


def test_the_kubelet_does_not_expand_values_of_the_spec() -> None:
    chatmodel = a_chatmodel(model={"uri": "hf://a/b", "chatTemplate": "{{ messages }} $(HOME)"})
    assert env(chatmodel)[Env.CHAT_TEMPLATE] == "{{ messages }} $$(HOME)"


def test_the_hub_token_comes_from_the_secret() -> None:
    chatmodel = a_chatmodel(model={"uri": "hf://a/b", "tokenSecretRef": {"name": "hub", "key": "read"}})
    assert env(chatmodel)["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "read"}}
    assert "HF_TOKEN" not in env(a_chatmodel())


def test_optional_settings_are_left_out_where_the_spec_has_none() -> None:
    assert {Env.MODEL_REVISION, Env.CHAT_TEMPLATE, Env.MAX_MODEL_LEN} & set(env(a_chatmodel())) == set()


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_need_no_shell(probe: str) -> None:
    assert set(CHATSCALE_SERVER.container(a_chatmodel())[probe]) & {"exec", "httpGet", "tcpSocket"} == {"httpGet"}


def test_the_server_delays_and_drains_by_itself() -> None:
    chatmodel = a_chatmodel(drain={"timeoutSeconds": 300, "preStopDelaySeconds": 15})
    assert "lifecycle" not in CHATSCALE_SERVER.container(chatmodel)
    assert CHATSCALE_SERVER.grace_period_s(chatmodel) == 300 + 15 + 10
