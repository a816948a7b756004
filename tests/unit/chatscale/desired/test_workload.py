import json
from typing import Any

import pytest

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, PodMetadataSpec
from chatscale.desired.manifest import template_hash_of
from chatscale.desired.workload import ServerImages, build_deployment, build_replicas
from tests.support.chatmodels import a_chatmodel
from tests.support.golden import assert_golden

IMAGES = ServerImages(transformers="registry/server:1", simulated="registry/simulated:1")

REHEARSAL = a_chatmodel("rehearsal", server={"engine": "Simulated", "simulated": {"startupSeconds": 2}})
ON_GPUS = a_chatmodel(
    "shop",
    device="GPU",
    model={
        "uri": "hf://meta/llama-8b",
        "revision": "0123abc",
        "servedName": "assistant",
        "tokenSecretRef": {"name": "hub", "key": "token"},
        "chatTemplate": "{{ messages }} $(HOME)",
    },
    server={
        "image": "registry/own:2",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry-login"}],
        "env": [{"name": "TOKENIZERS_PARALLELISM", "value": "false"}],
        "envFrom": [{"configMapRef": {"name": "proxy"}}],
        "dtype": "bfloat16",
        "maxModelLen": 4096,
        "maxConcurrency": 16,
        "maxQueue": 32,
        "queueTimeoutSeconds": 30,
    },
    resources={"limits": {"nvidia.com/gpu": 1, "memory": "24Gi"}, "requests": {"cpu": "2"}},
    drain={"timeoutSeconds": 300, "preStopDelaySeconds": 15},
)
IN_A_NODE_POOL = a_chatmodel(
    "pool",
    device="GPU",
    resources={"limits": {"nvidia.com/gpu": 1}},
    scheduling={
        "nodeSelector": {"gpu": "a10g"},
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "inference", "effect": "NoSchedule"},
            {"key": "nvidia.com/gpu", "operator": "Exists"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        ],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
                ]
            }
        },
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
        ],
        "priorityClassName": "inference",
        "runtimeClassName": "nvidia",
        "schedulerName": "volcano",
    },
    pod={
        "labels": {"team": "support"},
        "annotations": {"example.com/token-version": "2"},
        "serviceAccountName": "models",
    },
)
ON_A_VOLUME = a_chatmodel("archive", model={"uri": "pvc://weights/llama/8b"})


def container(chatmodel: ChatModel) -> dict[str, Any]:
    found: dict[str, Any] = build_deployment(chatmodel, IMAGES)["spec"]["template"]["spec"]["containers"][0]
    return found


def env(chatmodel: ChatModel) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(chatmodel)["env"] if "value" in entry}


@pytest.mark.parametrize(
    ("name", "chatmodel"),
    [
        pytest.param("deployment_simulated", REHEARSAL, id="simulated"),
        pytest.param("deployment_gpu", ON_GPUS, id="gpu"),
        pytest.param("deployment_volume", ON_A_VOLUME, id="volume"),
        pytest.param("deployment_node_pool", IN_A_NODE_POOL, id="node-pool"),
    ],
)
def test_builds_the_golden_deployment(name: str, chatmodel: ChatModel) -> None:
    assert_golden(name, build_deployment(chatmodel, IMAGES))


def test_the_template_does_not_contain_replicas() -> None:
    assert "replicas" not in build_deployment(a_chatmodel(replicas=7), IMAGES)["spec"]


def test_a_new_count_does_not_change_the_template() -> None:
    assert build_deployment(a_chatmodel(replicas=7), IMAGES) == build_deployment(a_chatmodel(replicas=2), IMAGES)


def test_the_count_is_applied_alone() -> None:
    assert build_replicas("demo", "tiny", 3) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "tiny", "namespace": "demo"},
        "spec": {"replicas": 3},
    }


def test_the_hash_changes_only_with_the_template() -> None:
    def hash_of(**server: Any) -> str | None:
        return template_hash_of(build_deployment(a_chatmodel(server=server), IMAGES))

    assert hash_of(maxQueue=10) == hash_of(maxQueue=10)
    assert hash_of(maxQueue=10) != hash_of(maxQueue=11)


def test_a_pod_has_the_labels_that_select_it() -> None:
    spec = build_deployment(a_chatmodel("shop"), IMAGES)["spec"]

    assert spec["selector"]["matchLabels"] == names.deployment_selector("shop")
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_stable_deployment_does_not_select_a_canarys_pods() -> None:
    canary = names.deployment_selector("shop", "canary").items()
    selector = build_deployment(a_chatmodel("shop"), IMAGES)["spec"]["selector"]["matchLabels"].items()

    assert not selector <= canary
    assert names.pod_selector("shop").items() <= canary


def test_a_pod_names_its_engine() -> None:
    labels = build_deployment(REHEARSAL, IMAGES)["spec"]["template"]["metadata"]["labels"]

    assert labels[names.ENGINE_LABEL] == "Simulated"


def test_the_longest_pod_name_has_63_characters() -> None:
    replicaset_hash, random_suffix = "0123456789", "abcde"

    longest = "x" * names.MAX_NAME_LENGTH + names.CANARY_SUFFIX + "-" + replicaset_hash + random_suffix

    assert len(longest) == 63


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        pytest.param("GPU", {"maxSurge": 0, "maxUnavailable": 1}, id="no-surge-on-full-gpu-nodes"),
        pytest.param("CPU", {"maxSurge": 1, "maxUnavailable": 0}, id="no-loss-of-capacity-on-cpus"),
    ],
)
def test_surges_only_where_nodes_can_have_spare_capacity(device: str, expected: dict[str, int]) -> None:
    strategy = build_deployment(a_chatmodel(device=device), IMAGES)["spec"]["strategy"]

    assert strategy == {"type": "RollingUpdate", "rollingUpdate": expected}


def test_each_engine_has_an_image_and_the_spec_can_replace_it() -> None:
    assert container(a_chatmodel())["image"] == "registry/server:1"
    assert container(REHEARSAL)["image"] == "registry/simulated:1"
    assert container(ON_GPUS)["image"] == "registry/own:2"


def test_a_users_variable_replaces_ours_and_no_name_occurs_twice() -> None:
    chatmodel = a_chatmodel(
        model={"uri": "hf://a/b", "tokenSecretRef": {"name": "hub"}},
        server={"env": [{"name": "HOME", "value": "/models"}, {"name": "HF_TOKEN", "value": "mine"}]},
    )

    assert env(chatmodel)["HOME"] == "/models"
    assert env(chatmodel)["HF_TOKEN"] == "mine"
    found = [entry["name"] for entry in container(chatmodel)["env"]]
    assert len(found) == len(set(found))


def test_a_pod_has_time_to_drain() -> None:
    pod = build_deployment(ON_GPUS, IMAGES)["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] == 300 + 15 + 10


@pytest.mark.parametrize("chatmodel", [REHEARSAL, ON_GPUS, ON_A_VOLUME], ids=["simulated", "gpu", "volume"])
def test_a_pod_runs_without_privileges_on_a_read_only_root_and_needs_no_shell(chatmodel: ChatModel) -> None:
    pod = build_deployment(chatmodel, IMAGES)["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert not pod["automountServiceAccountToken"]
    assert {"command", "args", "lifecycle"} & set(server) == set()
    probes = [value for name, value in server.items() if name.endswith("Probe")]
    assert [set(probe) & {"exec", "httpGet", "tcpSocket", "grpc"} for probe in probes] == [{"httpGet"}] * 3
    writable = {mount["mountPath"] for mount in server["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/tmp"}


def test_a_volume_is_read_only_in_both_places() -> None:
    pod = build_deployment(ON_A_VOLUME, IMAGES)["spec"]["template"]["spec"]

    assert pod["volumes"][2:] == [
        {"name": "model", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}}
    ]
    assert container(ON_A_VOLUME)["volumeMounts"][2:] == [
        {"name": "model", "mountPath": "/models/weights", "readOnly": True}
    ]


@pytest.mark.parametrize("slo", [{"ttftMilliseconds": 500}, {"tpotMilliseconds": 20}, {"objectivePercent": 90}])
def test_a_change_of_the_slo_leaves_the_deployment_byte_identical(slo: dict[str, int]) -> None:
    before = build_deployment(a_chatmodel(autoscaling={"maxReplicas": 4}), IMAGES)
    after = build_deployment(a_chatmodel(autoscaling={"maxReplicas": 4, "slo": slo}), IMAGES)

    assert json.dumps(after) == json.dumps(before)


def test_pods_mount_the_objectives_of_their_chatmodel_and_start_without_them() -> None:
    pod = build_deployment(REHEARSAL, IMAGES)["spec"]["template"]["spec"]

    assert {"name": "slo", "configMap": {"name": "rehearsal-slo", "optional": True}} in pod["volumes"]
    mount = {"name": "slo", "mountPath": "/etc/chatscale/slo", "readOnly": True}
    assert mount in container(REHEARSAL)["volumeMounts"]


def test_a_users_labels_cannot_break_a_selector() -> None:
    """Even if an API server with an older CRD let them pass."""
    pod = PodMetadataSpec.model_construct(
        labels={names.MODEL_LABEL: "other", names.TRACK_LABEL: "canary", names.NAME_LABEL: "x", "team": "support"},
        annotations={"prometheus.io/port": "1"},
        service_account_name=None,
    )
    chatmodel = a_chatmodel("shop")
    chatmodel = chatmodel.model_copy(update={"spec": chatmodel.spec.model_copy(update={"pod": pod})})

    spec = build_deployment(chatmodel, IMAGES)["spec"]

    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["template"]["metadata"]["labels"]["team"] == "support"
    assert spec["template"]["metadata"]["annotations"]["prometheus.io/port"] == "8000"


def test_labels_of_pods_are_not_in_the_selector_nor_on_the_deployment() -> None:
    deployment = build_deployment(IN_A_NODE_POOL, IMAGES)

    assert "team" not in deployment["spec"]["selector"]["matchLabels"]
    assert "team" not in deployment["metadata"]["labels"]


def test_empty_blocks_do_not_change_the_template() -> None:
    def template_hash(**spec: Any) -> str | None:
        return template_hash_of(build_deployment(a_chatmodel(**spec), IMAGES))

    assert template_hash(scheduling={"tolerations": [], "affinity": {}}, pod={"labels": {}}) == template_hash()
