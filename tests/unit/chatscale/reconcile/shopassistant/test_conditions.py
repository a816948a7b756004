"""Conditions and status of a ShopAssistant follow what all its pods report."""

from chatscale.cluster.interface import CHATMODEL, CONFIGMAP, POD, SHOPASSISTANT
from tests.support.assistant_world import AssistantWorld, a_running_assistant, assistant_manifest, state
from tests.support.builders import Manifest, a_chatmodel
from tests.support.fake_cluster import FakeCluster

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
ORDERS = {"name": "orders", "mcp": "http://orders.shop", "allow": ["get_order"]}
POLICIES = {"name": "policies", "configMap": "policies"}


def a_config_map(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "demo"}, "data": {}}


async def test_everything_is_ready_when_every_pod_uses_every_source_and_tool():
    world = await a_running_assistant(
        knowledge=[POLICIES], tools=[ORDERS], fields={"sources": {"policies": ""}, "tools": {"orders": A}}
    )

    assert [(c.type, c.status.value, c.reason) for c in world.status.conditions] == [
        ("Ready", "True", "Ready"),
        ("KnowledgeReady", "True", "Indexed"),
        ("ToolsReady", "True", "Pinned"),
        ("ModelReady", "True", "NotUsed"),
        ("SettingsReady", "True", "Usable"),
    ]
    assert (world.status.index, world.status.ready_replicas, world.status.phase) == ("i1", 1, "Ready")
    assert (world.status.sources[0].chunks, world.status.sources[0].digest) == (3, "d-i1")


async def test_the_index_is_shown_only_while_all_ready_pods_agree_and_the_old_content_counts_until_then():
    world = await a_running_assistant(knowledge=[POLICIES], replicas={"min": 2}, fields={"sources": {"policies": ""}})
    world.start_pod("shop-assistant-2", index="i2", sources={"policies": ""})
    await world.tick()
    assert world.status.index is None
    assert world.condition("KnowledgeReady") == ("True", "Updating")
    assert world.status.sources[0].digest == "d-i1"

    world.states.states["shop-assistant-1"] = state(index="i2", sources={"policies": ""})
    await world.tick(2)
    assert (world.status.index, world.status.sources[0].digest) == ("i2", "d-i2")


async def test_no_index_is_shown_while_a_ready_pod_cannot_be_read():
    world = await a_running_assistant(replicas={"min": 2})
    world.start_pod("shop-assistant-2")
    del world.states.states["shop-assistant-2"]
    await world.tick()

    assert world.status.index is None


async def test_a_missing_config_map_is_named_with_its_field():
    world = await a_running_assistant(knowledge=[POLICIES], fields={"sources": {"policies": "no files"}})

    assert world.condition("KnowledgeReady") == ("False", "SourceUnusable")
    assert world.message("KnowledgeReady") == (
        "spec.knowledge[policies].configMap: ConfigMap demo/policies does not exist"
    )
    assert world.condition("Ready") == ("True", "Ready"), "the rest still answers"


async def test_an_existing_config_map_that_cannot_be_used_is_explained_by_the_pod():
    world = await a_running_assistant(
        a_config_map("policies"), knowledge=[POLICIES], fields={"sources": {"policies": "returns.md is not UTF-8"}}
    )

    assert world.message("KnowledgeReady") == (
        "spec.knowledge[policies]: returns.md is not UTF-8 (pod shop-assistant-1)"
    )


async def test_a_config_map_is_looked_up_only_while_a_pod_reports_it():
    world = await a_running_assistant(
        a_config_map("policies"), knowledge=[POLICIES], fields={"sources": {"policies": ""}}
    )
    await world.tick(10)

    assert "get ConfigMap" not in world.cluster.requests()
    assert world.cluster.has(CONFIGMAP, "policies")


async def test_a_pod_that_starts_explains_itself():
    world = AssistantWorld(FakeCluster(assistant_manifest(knowledge=[POLICIES])))
    await world.tick()
    world.start_pod(ready=False, index="", sources={"policies": "cannot be read"})
    await world.tick()

    assert world.condition("Ready") == ("False", "Starting")
    assert "source policies: cannot be read" in world.message("Ready")


async def test_a_first_index_is_awaited():
    world = await a_running_assistant(knowledge=[POLICIES], fields={"index": "", "sources": {"policies": ""}})

    assert world.condition("KnowledgeReady") == ("False", "Indexing")


async def test_a_missing_claim_is_explained_by_the_scheduler():
    world = AssistantWorld(FakeCluster(assistant_manifest(knowledge=[{"name": "catalogue", "claim": "catalogue"}])))
    await world.tick()
    world.start_pod(ready=False)
    world.cluster.the(POD, "shop-assistant-1")["status"] = {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": 'persistentvolumeclaim "catalogue" not found',
                "lastTransitionTime": "2026-11-27T08:00:00Z",
            }
        ],
    }
    await world.tick()

    assert world.condition("Ready") == ("False", "VolumeUnavailable")
    assert 'persistentvolumeclaim "catalogue" not found' in world.message("Ready")


async def test_a_pod_that_waits_for_its_volumes_names_the_secrets_of_the_spec():
    world = AssistantWorld(
        FakeCluster(assistant_manifest(guardrails={"handOver": {"urlSecretRef": {"name": "desk", "key": "url"}}}))
    )
    await world.tick()
    world.start_pod(ready=False)
    pod = world.cluster.the(POD, "shop-assistant-1")
    del pod["status"]["podIP"]
    pod["status"]["conditions"].append(
        {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": "2026-11-27T08:00:05Z"}
    )
    await world.tick()
    assert world.condition("Ready") == ("False", "Starting"), "volumes usually take some seconds"

    await world.tick(seconds=30)
    assert world.condition("Ready") == ("False", "VolumesNotReady")
    assert "spec.guardrails.handOver.urlSecretRef: Secret desk, key url" in world.message("Ready")
    assert "VolumesNotReady" in world.cluster.event_reasons()


async def test_the_first_descriptions_are_pinned_and_changed_ones_are_refused_until_the_spec_names_them():
    world = await a_running_assistant(tools=[ORDERS], fields={"tools": {"orders": A}})
    assert world.status.tools[0].digest == A

    world.states.states["shop-assistant-1"] = state(tools={"orders": B})
    await world.tick(2)
    assert world.condition("ToolsReady") == ("False", "DescriptionsChanged")
    assert f"expected {A} (the first ones, in status.tools), found {B}" in world.message("ToolsReady")
    assert f"set spec.tools[orders].pinnedDigest to {B}" in world.message("ToolsReady")
    assert world.status.tools[0].digest == A
    assert world.cluster.event_reasons() == ["DescriptionsChanged"]

    world.set_spec(tools=[{**ORDERS, "pinnedDigest": B}])
    await world.tick()
    world.start_pod(tools={"orders": B})
    await world.tick(2)
    assert world.condition("ToolsReady") == ("True", "Pinned")
    assert world.status.tools[0].digest == B


async def test_a_pin_survives_a_restart_of_the_operator():
    world = await a_running_assistant(tools=[ORDERS], fields={"tools": {"orders": A}})
    world.states.states["shop-assistant-1"] = state(tools={"orders": B})
    world.restart_operator()
    await world.tick(2)

    assert world.condition("ToolsReady") == ("False", "DescriptionsChanged")


async def test_nothing_is_pinned_while_pods_report_different_descriptions():
    world = await a_running_assistant(replicas={"min": 2}, tools=[ORDERS], fields={"tools": {"orders": ""}})
    world.start_pod("shop-assistant-2", tools={"orders": B})
    world.states.states["shop-assistant-1"] = state(tools={"orders": A})
    await world.tick(2)

    assert world.condition("ToolsReady") == ("Unknown", "NotPinned")
    assert world.status.tools[0].digest == ""


async def test_another_allow_list_is_pinned_anew_and_only_by_pods_of_the_new_spec():
    world = await a_running_assistant(tools=[ORDERS], fields={"tools": {"orders": A}})
    world.set_spec(tools=[{**ORDERS, "allow": ["get_order", "get_user"]}])
    await world.tick(2)
    assert world.status.tools[0].digest == "", "the old pod reports the old tools"

    world.start_pod(tools={"orders": B})
    await world.tick(2)
    assert world.status.tools[0].digest == B
    assert world.condition("ToolsReady") == ("True", "Pinned")


async def test_a_missing_chatmodel_is_named_and_the_assistant_stays_ready():
    world = await a_running_assistant(model={"chatModel": "tiny"})

    assert world.condition("ModelReady") == ("False", "ChatModelNotFound")
    assert "spec.model.chatModel: ChatModel demo/tiny does not exist" in world.message("ModelReady")
    assert world.condition("Ready") == ("True", "Ready")


async def test_the_condition_of_the_chatmodel_is_quoted():
    world = await a_running_assistant(a_chatmodel().manifest(), model={"chatModel": "tiny"})
    chatmodel = world.cluster.the(CHATMODEL, "tiny")
    ready = {"type": "Ready", "status": "False", "reason": "InsufficientGPU", "message": "0 of 1 replicas are ready"}
    chatmodel["status"] = {"conditions": [ready]}
    world.cluster.put(chatmodel)
    await world.tick(3)

    assert world.condition("ModelReady") == ("False", "ChatModelNotReady")
    assert "InsufficientGPU: 0 of 1 replicas are ready" in world.message("ModelReady")


async def test_a_model_without_an_evaluation_may_not_write():
    world = await a_running_assistant(
        model={"external": {"baseURL": "http://llm/v1", "model": "big"}},
        fields={"model_writes": False, "model_message": "spec.model.evaluation names no report"},
    )

    assert world.condition("ModelReady") == ("False", "ModelMayNotWrite")
    assert "spec.model.evaluation names no report" in world.message("ModelReady")
    assert (world.status.model, world.status.model_writes) == ("big", False)


async def test_an_unreadable_pod_is_no_pod_without_problems():
    world = await a_running_assistant(knowledge=[POLICIES], fields={"sources": {"policies": ""}})
    world.states.states.clear()
    await world.tick(2)

    assert world.condition("KnowledgeReady") == ("Unknown", "NotReported")
    assert "pod shop-assistant-1: no answer within 2 s" in world.message("KnowledgeReady")
    assert world.cluster.the(SHOPASSISTANT, "shop")["status"].get("modelWrites") is None


async def test_pods_that_still_compute_vectors_are_counted_in_the_condition():
    world = await a_running_assistant(
        knowledge=[POLICIES], replicas={"min": 2}, fields={"sources": {"policies": ""}, "embedded": False}
    )
    world.start_pod("shop-assistant-2", sources={"policies": ""})
    await world.tick(2)

    assert world.condition("KnowledgeReady") == ("True", "Embedding")
    assert world.message("KnowledgeReady") == (
        "1 sources with 3 passages and rows; 1 of 2 pods still compute vectors, and find the other text by its words"
    )

    world.states.states["shop-assistant-1"] = state(sources={"policies": ""})
    await world.tick(2)
    assert world.condition("KnowledgeReady") == ("True", "Indexed")


async def test_a_setting_that_pods_cannot_use_is_a_condition_and_one_warning():
    problem = "spec.identity.secretRef: the secret has 5 bytes, expected at least 32; every customer is unknown"
    world = await a_running_assistant()
    world.states.states["shop-assistant-1"] = state(problems=(problem,))
    await world.tick(3)

    assert world.condition("SettingsReady") == ("False", "SettingUnusable")
    assert world.message("SettingsReady") == f"{problem} (pod shop-assistant-1)"
    assert world.cluster.event_reasons() == ["SettingUnusable"]
    assert world.condition("Ready") == ("True", "Ready")

    world.states.states["shop-assistant-1"] = state()
    await world.tick(2)
    assert world.condition("SettingsReady") == ("True", "Usable")
