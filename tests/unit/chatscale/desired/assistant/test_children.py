"""What runs for a ShopAssistant. The pod follows the contract with the assistant's program."""

import json

from chatscale import names
from chatscale.api.v1alpha1 import parse_shopassistant
from chatscale.desired.assistant.children import build_children, build_hpa, build_signing_secret
from chatscale.desired.assistant.configuration import build_configuration, spec_digest
from chatscale.desired.assistant.workload import build_deployment
from chatscale.desired.manifest import Manifest
from chatscale.desired.network_policy import PodAccess
from chatscale_contract.assistant import endpoints
from tests.support.assistant_world import PODS, an_assistant

FULL = {
    "model": {"chatModel": "tiny", "keySecretRef": {"name": "gateway-key"}, "evaluation": {"name": "report"}},
    "knowledge": [
        {"name": "policies", "configMap": "policies"},
        {"name": "catalogue", "claim": "catalogue", "kind": "Catalogue"},
        {"name": "news", "url": {"url": "http://shop/news.md"}},
    ],
    "tools": [{"name": "orders", "mcp": "http://orders", "allow": ["get"], "tokenSecretRef": {"name": "orders"}}],
    "identity": {"secretRef": {"name": "shop-jwt", "key": "hs256"}},
    "guardrails": {"handOver": {"urlSecretRef": {"name": "desk", "key": "url"}}},
    "store": {"urlSecretRef": {"name": "postgres", "key": "url"}},
}


def pod(**spec) -> Manifest:
    template: Manifest = build_deployment(an_assistant(**spec), PODS)["spec"]["template"]
    return template


def volume(name: str, **spec) -> Manifest:
    return next(each for each in pod(**spec)["spec"]["volumes"] if each["name"] == name)


def test_every_key_is_a_file_where_the_program_expects_it():
    sources = [each["secret"] for each in volume("secrets", **FULL)["projected"]["sources"]]
    files = {
        item["path"]: (source["name"], item["key"], source.get("optional", False))
        for source in sources
        for item in source["items"]
    }

    assert files == {
        "signing/key": (names.signing_secret("shop", "uid-shop"), "key", False),
        "model/key": ("gateway-key", "token", False),
        "identity/key": ("shop-jwt", "hs256", False),
        "desk/url": ("desk", "url", False),
        "desk/signature": ("desk", "signature", True),
        "desk/apiToken": ("desk", "apiToken", True),
        "desk/accountId": ("desk", "accountId", True),
        "store/url": ("postgres", "url", False),
        "tools/orders/token": ("orders", "token", False),
    }


def test_knowledge_is_mounted_read_only_and_a_config_map_may_come_later():
    (container,) = pod(**FULL)["spec"]["containers"]
    mounted = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}

    assert mounted == {
        endpoints.CONFIG_MOUNT_PATH: True,
        endpoints.SECRETS_MOUNT_PATH: True,
        "/evaluation": True,
        "/knowledge/policies": True,
        "/knowledge/catalogue": True,
        endpoints.INDEX_FOLDER: False,
        "/tmp": False,
    }
    assert volume("knowledge-policies", **FULL)["configMap"] == {"name": "policies", "optional": True}
    assert volume("knowledge-catalogue", **FULL)["persistentVolumeClaim"]["readOnly"]
    assert volume("evaluation", **FULL)["configMap"]["optional"]
    assert set(volume("index")["emptyDir"]) == {"sizeLimit"}


def test_the_pod_is_hardened_and_drains_longer_than_an_answer_of_the_model():
    spec = pod(model={"chatModel": "tiny", "timeoutSeconds": 60})["spec"]
    (container,) = spec["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}

    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert environment[endpoints.GATEWAY_URL_VARIABLE] == "http://gateway.system.svc"
    assert int(environment[endpoints.GRACE_VARIABLE]) == 75
    assert (environment["OMP_NUM_THREADS"], environment["OPENBLAS_NUM_THREADS"]) == ("1", "1")
    assert spec["terminationGracePeriodSeconds"] == 85


def test_own_resources_replace_the_default_ones():
    def resources(**spec) -> Manifest:
        found: Manifest = pod(**spec)["spec"]["containers"][0]["resources"]
        return found

    assert resources() == {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert resources(resources={"limits": {"memory": "512Mi"}}) == {"limits": {"memory": "512Mi"}}


def test_own_image_and_pull_secrets_reach_the_pod():
    spec = pod(image="r.example/assistant:2", imagePullSecrets=[{"name": "r"}])["spec"]

    assert (spec["containers"][0]["image"], spec["imagePullSecrets"]) == ("r.example/assistant:2", [{"name": "r"}])


def test_the_program_reads_back_the_resource_that_the_operator_wrote():
    assistant = an_assistant(**FULL)
    data = build_configuration(assistant, {"orders": "sha256:1"})["data"]
    document = json.loads(data[endpoints.SPEC_FILE.rpartition("/")[2]])

    assert parse_shopassistant(document).spec == assistant.spec
    assert document["metadata"] == {"name": "shop", "namespace": "demo", "uid": "uid-shop"}
    assert document["status"] == {"tools": [{"name": "orders", "digest": "sha256:1"}]}


def test_a_new_pin_and_a_new_count_restart_no_pod_and_a_new_source_does():
    before = spec_digest(an_assistant().spec)

    assert spec_digest(an_assistant(replicas={"min": 9}).spec) == before
    assert spec_digest(an_assistant(languages=["en"]).spec) == before, "a default that is written out"
    assert spec_digest(an_assistant(knowledge=FULL["knowledge"]).spec) != before


def test_the_hpa_scales_the_deployment_by_requests_in_flight_of_this_assistant():
    hpa = build_hpa(an_assistant(replicas={"min": 2, "max": 6, "targetInFlight": 5}))

    assert hpa is not None
    assert hpa["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-assistant"},
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "External",
                "external": {
                    "metric": {
                        "name": "chatscale_assistant_requests_in_flight",
                        "selector": {"matchLabels": {"shopassistant": "shop"}},
                    },
                    "target": {"type": "AverageValue", "averageValue": "5"},
                },
            }
        ],
    }
    assert build_hpa(an_assistant()) is None


def test_without_network_policies_there_is_none():
    kinds = [child["kind"] for child in build_children(an_assistant(), {}, PODS, PodAccess())]

    assert kinds == ["ConfigMap", "Deployment", "Service", "PodDisruptionBudget"]


def test_no_child_has_the_name_of_a_child_of_a_chatmodel_of_the_same_name():
    children = build_children(an_assistant(), {}, PODS, PodAccess(({"podSelector": {}},)))

    assert {child["metadata"]["name"] for child in children} == {"shop-assistant"}


def test_the_longest_name_gives_a_valid_service_name_and_label():
    longest = "a" * names.MAX_NAME_LENGTH

    assert len(names.assistant_child(longest)) <= 63
    assert len(names.signing_secret(longest, "uid")) <= 63


def test_the_signing_secret_cannot_be_changed():
    secret = build_signing_secret(an_assistant(), b"k" * 32)

    assert secret["immutable"]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "uid-shop"
