"""The gateway in the chart: on by default, each value reaches its setting, and it has only the rights that it needs."""

import json
from ipaddress import ip_network
from typing import Any

import pytest

from chatscale_contract.gateway.endpoints import ADMIN_PORT, API_PORT, GATEWAY_NAME, LIVENESS_PORT
from chatscale_contract.gateway.key_secret import POLICY_FIELDS
from chatscale_gateway.__main__ import http_options, key_namespaces
from chatscale_gateway.http.memory import OWN_BYTES, PARSE_FACTOR, USUAL_LIMIT_BYTES
from chatscale_gateway.settings import ENV_PREFIX, AuthMode, Settings
from chatscale_process.settings import LogFormat
from hack.helm import CHART, HelmError
from tests.chart.support import Manifest, render

NOT_IN_THE_CHART = {"kube_context", "api_port", "admin_port", "liveness_port", "otlp_endpoint"}
"""The context is for a developer's machine; peers and the operator expect the contract's ports; traces are optional."""
DOWNWARD = {"metadata.name": "gw-1", "metadata.namespace": "models"}
BINARY_UNITS = {"Mi": 1024**2, "Gi": 1024**3}
GATEWAY_RULES = [
    {"apiGroups": ["chatscale.dev"], "resources": ["chatmodels", "shopassistants"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
]


def deployment(values: dict[str, Any] | None = None) -> Manifest:
    return render(values)["Deployment", "models", "chatscale-gateway"]


def container(values: dict[str, Any] | None = None) -> Manifest:
    (found,) = deployment(values)["spec"]["template"]["spec"]["containers"]
    return found


def env(values: dict[str, Any] | None = None) -> dict[str, str]:
    found = container(values)
    return {entry["name"]: entry["value"] if "value" in entry else downward(entry, found) for entry in found["env"]}


def downward(entry: Manifest, of: Manifest) -> str:
    """The value that the kubelet fills in."""
    if "fieldRef" in (source := entry["valueFrom"]):
        return DOWNWARD[source["fieldRef"]["fieldPath"]]
    assert source["resourceFieldRef"] == {"containerName": of["name"], "resource": "limits.memory"}
    return str(memory_limit_bytes(of))


def memory_limit_bytes(found: Manifest) -> int:
    limit = found["resources"]["limits"]["memory"]
    return int(limit[:-2]) * BINARY_UNITS[limit[-2:]]


def gateway_objects(values: dict[str, Any]) -> dict[tuple[str, str, str], Manifest]:
    return {key: manifest for key, manifest in render(values).items() if "gateway" in key[2]}


def test_chart_sets_every_setting_and_nothing_else():
    known = {ENV_PREFIX + field.upper() for field in Settings.model_fields if field not in NOT_IN_THE_CHART}

    assert set(env()) == known


def test_each_value_of_the_chart_reaches_its_setting():
    values = {
        "scope": "Namespace",
        "namespaces": ["shop", "support"],
        "logLevel": "DEBUG",
        "logFormat": "text",
        "gateway": {
            "maxBodyBytes": 33554432,
            "maxHeldBytes": 1073741824,
            "endpointDelaySeconds": 5,
            "graceSeconds": 120,
            "responseTimeoutSeconds": 300,
            "pathPrefix": "/llm",
            "pages": {"enabled": False},
            "cors": {"allowedOrigins": ["https://shop.example", "http://localhost:3000"]},
            "tls": {"secretName": "gateway-tls"},
            "trustedProxies": ["10.0.0.0/8", "192.0.2.1"],
            "auth": {
                "secretNamespaces": ["shop", "keys"],
                "oidc": {
                    "issuer": "https://id.example",
                    "audience": "chat",
                    "jwksUrl": "https://id.example/keys",
                    "claims": {"models": "groups"},
                    "policy": {"requestsPerMinute": "60"},
                },
            },
            "tracing": {"otlpEndpoint": "http://collector:4318"},
            "resources": {"limits": {"memory": "2Gi"}},
        },
    }

    assert Settings.from_env(env(values)) == Settings(
        namespaces=("shop", "support"),
        pod_name="gw-1",
        pod_namespace="models",
        instance="chatscale",
        max_body_bytes=33554432,
        max_held_bytes=1073741824,
        endpoint_delay_seconds=5,
        grace_seconds=120,
        response_timeout_seconds=300,
        path_prefix="/llm",
        pages=False,
        cors_origins=("https://shop.example", "http://localhost:3000"),
        tls_cert_file="/tls/tls.crt",
        tls_key_file="/tls/tls.key",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("192.0.2.1")),
        key_namespaces=("shop", "keys"),
        oidc_issuer="https://id.example",
        oidc_audience="chat",
        oidc_jwks_url="https://id.example/keys",
        oidc_claims={"models": "groups"},
        oidc_policy={"requestsPerMinute": "60"},
        otlp_endpoint="http://collector:4318",
        memory_limit_bytes=2 * 1024**3,
        log_level="DEBUG",
        log_format=LogFormat.TEXT,
    )


def test_the_charts_defaults_are_the_settings_defaults():
    assert Settings.from_env(env()) == Settings(
        pod_name="gw-1",
        pod_namespace="models",
        instance="chatscale",
        memory_limit_bytes=USUAL_LIMIT_BYTES,
        key_namespaces=("models",),
    )


def test_all_that_a_gateway_keeps_in_memory_fits_the_charts_limit():
    """Bodies of held requests are part of the bodies of all requests."""
    settings = Settings.from_env(env())
    options = http_options(settings)

    assert settings.max_held_bytes <= options.max_bodies_bytes
    parsing = PARSE_FACTOR * settings.max_body_bytes
    assert OWN_BYTES + parsing + options.max_bodies_bytes <= memory_limit_bytes(container())


@pytest.mark.parametrize("limit", ["64Mi", "512Mi", "640Mi", "4Gi"])
def test_the_limit_for_bodies_follows_the_memory_limit(limit: str):
    found = container({"gateway": {"resources": {"limits": {"memory": limit}}}})
    settings = Settings.from_env(env({"gateway": {"resources": {"limits": {"memory": limit}}}}))
    bodies = http_options(settings).max_bodies_bytes

    too_small = bodies == settings.max_body_bytes
    assert too_small or OWN_BYTES + PARSE_FACTOR * settings.max_body_bytes + bodies == memory_limit_bytes(found)
    assert too_small == (limit == "64Mi")


def test_values_reused_from_an_older_chart_give_the_defaults():
    newer = ("pathPrefix", "pages", "cors", "tracing", "tls", "auth", "trustedProxies", "ingress", "httpRoute")

    values = {"gateway": dict.fromkeys(newer)}

    assert Settings.from_env(env(values)) == Settings.from_env(env())
    assert render(values).keys() == render().keys()


def test_variables_of_the_opentelemetry_sdk_pass_through():
    values = {"gateway": {"tracing": {"env": [{"name": "OTEL_TRACES_SAMPLER", "value": "always_off"}]}}}

    assert env(values)["OTEL_TRACES_SAMPLER"] == "always_off"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in env()


def test_two_gateways_run_by_default_and_one_is_ready_before_another_leaves():
    spec = deployment()["spec"]

    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 660


def test_it_can_be_left_out():
    assert gateway_objects({"gateway": {"enabled": False}}) == {}


def test_clients_reach_the_api_port_only():
    service = render()["Service", "models", "chatscale-gateway"]["spec"]

    assert service["type"] == "ClusterIP"
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "api", "appProtocol": "http"}]
    assert service["selector"] == deployment()["spec"]["selector"]["matchLabels"]
    assert service["selector"]["app.kubernetes.io/name"] == GATEWAY_NAME


def test_ports_and_probes_are_the_contracts():
    found = container()

    assert {port["name"]: port["containerPort"] for port in found["ports"]} == {
        "api": API_PORT, "admin": ADMIN_PORT, "liveness": LIVENESS_PORT,
    }  # fmt: skip
    assert found["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "liveness"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}


def test_metrics_service_is_found_by_prometheus_annotations():
    service = render()["Service", "models", "chatscale-gateway-metrics"]

    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true", "prometheus.io/port": str(ADMIN_PORT), "prometheus.io/path": "/metrics",
    }  # fmt: skip
    assert service["spec"]["ports"] == [{"name": "metrics", "port": ADMIN_PORT, "targetPort": "admin"}]


def test_node_drains_take_one_gateway_at_a_time():
    budget = render()["PodDisruptionBudget", "models", "chatscale-gateway"]["spec"]

    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment()["spec"]["selector"]


def test_pods_prefer_different_nodes_and_zones():
    spread = deployment()["spec"]["template"]["spec"]["topologySpreadConstraints"]

    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}


def test_passes_the_restricted_pod_security_standard():
    pod = deployment()["spec"]["template"]["spec"]

    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip


def test_placement_and_resources_are_the_gateways_own():
    own = {"nodeSelector": {"pool": "edge"}, "tolerations": [{"operator": "Exists"}], "affinity": {"podAffinity": {}}}
    values = {"nodeSelector": {"pool": "control"}, "gateway": {**own, "podAnnotations": {"team": "chat"}}}
    template = deployment(values)["spec"]["template"]

    assert {key: template["spec"][key] for key in own} == own
    assert template["metadata"]["annotations"] == {"team": "chat"}
    assert container()["resources"] == {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "640Mi"}}


KEY_RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
NO_KEYS = {"auth": {"enabled": False}}


@pytest.mark.parametrize(
    ("values", "namespaces"),
    [
        pytest.param({}, ["models"], id="cluster scope: the release's namespace"),
        pytest.param(
            {"scope": "Namespace", "namespaces": ["shop", "support"]},
            ["shop", "support", "models"],
            id="namespace scope: the served ones too",
        ),
        pytest.param({"scope": "Namespace"}, ["models"], id="namespace scope without namespaces"),
        pytest.param({"gateway": {"auth": {"secretNamespaces": ["keys"]}}}, ["keys"], id="the named ones only"),
    ],
)
def test_reads_secrets_in_the_namespaces_of_keys_only(values: dict[str, Any], namespaces: list[str]):
    objects = gateway_objects(values)
    with_secrets = {key for key, found in objects.items() if "Role" in key[0] and "secrets" in str(found.get("rules"))}

    assert with_secrets == {("Role", each, "chatscale-gateway-keys") for each in namespaces}
    for each in namespaces:
        assert objects["Role", each, "chatscale-gateway-keys"]["rules"] == KEY_RULES
        binding = objects["RoleBinding", each, "chatscale-gateway-keys"]
        assert binding["roleRef"]["name"] == "chatscale-gateway-keys"
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "chatscale-gateway", "namespace": "models"}]
    assert Settings.from_env(env(values)).key_namespaces == tuple(namespaces)


def test_all_secrets_are_readable_only_where_the_values_say_so():
    values = {"gateway": {"auth": {"secretNamespaces": ["*"]}}}
    objects = gateway_objects(values)

    assert objects["ClusterRole", "", "chatscale-gateway-keys"]["rules"] == KEY_RULES
    assert objects["ClusterRoleBinding", "", "chatscale-gateway-keys"]["roleRef"]["kind"] == "ClusterRole"
    assert not [key for key in objects if key[0] == "Role" and key[2] == "chatscale-gateway-keys"]
    assert key_namespaces(Settings.from_env(env(values))) == ()


def test_without_authentication_the_gateway_reads_no_secret():
    objects = gateway_objects({"gateway": NO_KEYS})

    assert Settings.from_env(env({"gateway": NO_KEYS})).auth is AuthMode.NONE
    assert not [key for key in objects if key[2].endswith("-keys")]


def test_the_schema_has_the_fields_of_a_policy():
    schema = json.loads((CHART / "values.schema.json").read_text())

    assert schema["definitions"]["claims"]["propertyNames"]["enum"] == list(POLICY_FIELDS)
    assert list(schema["definitions"]["policy"]["properties"]) == list(POLICY_FIELDS)


def test_cluster_scope_is_one_cluster_role_that_only_reads():
    objects = {key: found for key, found in gateway_objects({"gateway": NO_KEYS}).items() if "Role" in key[0]}

    assert set(objects) == {
        ("ClusterRole", "", "chatscale-gateway"), ("ClusterRoleBinding", "", "chatscale-gateway"),
    }  # fmt: skip
    assert objects["ClusterRole", "", "chatscale-gateway"]["rules"] == GATEWAY_RULES
    assert objects["ClusterRoleBinding", "", "chatscale-gateway"]["subjects"] == [
        {"kind": "ServiceAccount", "name": "chatscale-gateway", "namespace": "models"}
    ]


def test_namespace_scope_adds_only_the_peers_to_the_served_namespaces():
    values = {"scope": "Namespace", "namespaces": ["shop", "support"], "gateway": NO_KEYS}
    objects = gateway_objects(values)
    roles = {key[1:]: found["rules"] for key, found in objects.items() if key[0] == "Role" and "operator" not in key[2]}

    assert roles == {
        ("shop", "chatscale-gateway"): GATEWAY_RULES,
        ("support", "chatscale-gateway"): GATEWAY_RULES,
        ("models", "chatscale-gateway-peers"): GATEWAY_RULES[1:],
    }
    assert not [key for key in objects if key[0].startswith("Cluster")]
    bindings = {key[1:] for key in objects if key[0] == "RoleBinding" and "operator" not in key[2]}
    assert bindings == set(roles)


def test_another_service_account_is_bound_and_not_created():
    objects = render({"gateway": {"serviceAccount": {"create": False, "name": "given"}}})

    assert ("ServiceAccount", "models", "chatscale-gateway") not in objects
    assert objects["ClusterRoleBinding", "", "chatscale-gateway"]["subjects"][0]["name"] == "given"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"terminationGracePeriodSeconds": 600}, "must be above gateway.graceSeconds", id="short grace"),
        pytest.param({"replicas": 0}, "at '/gateway/replicas': minimum: got 0, want 1", id="no replicas"),
        pytest.param({"resource": {}}, "additional properties 'resource' not allowed", id="unknown value"),
        pytest.param({"image": "me/gateway:1"}, "at '/gateway/image': got string, want object", id="image as text"),
        pytest.param({"pathPrefix": "llm/"}, "at '/gateway/pathPrefix': 'llm/' does not match pattern", id="prefix"),
        pytest.param(
            {"cors": {"allowedOrigins": ["shop.example"]}},
            "at '/gateway/cors/allowedOrigins/0': 'shop.example' does",
            id="origin without a scheme",
        ),
        pytest.param(
            {"tracing": {"env": [{"name": "CHATSCALE_GATEWAY_API_PORT", "value": "1"}]}},
            "at '/gateway/tracing/env/0/name'",
            id="another variable as one of traces",
        ),
        pytest.param(
            {"auth": {"oidc": {"issuer": "https://id.example"}}},
            "at '/gateway/auth/oidc/audience': minLength: got 0, want 1",
            id="issuer without an audience",
        ),
        pytest.param(
            {"auth": {"oidc": {"audience": "chatscale"}}},
            "at '/gateway/auth/oidc/issuer': minLength: got 0, want 1",
            id="audience without an issuer",
        ),
        pytest.param(
            {"auth": {"oidc": {"policy": {"requestsPerMinute": "60/min"}}}},
            "at '/gateway/auth/oidc/policy/requestsPerMinute': '60/min' does not match",
            id="limit that is no number",
        ),
        pytest.param(
            {"auth": {"oidc": {"policy": {"wake": "no"}}}}, "at '/gateway/auth/oidc/policy/wake'", id="flag of a policy"
        ),
        pytest.param(
            {"graceSeconds": 10}, "must be above gateway.endpointDelaySeconds (10)", id="grace within the delay"
        ),
        pytest.param(
            {"resources": {"limits": {"memory": "lots"}}}, "at '/gateway/resources/limits/memory'", id="quantity"
        ),
        pytest.param(
            {"auth": {"secretNamespaces": ["*", "shop"]}},
            "at '/gateway/auth/secretNamespaces': maxItems: got 2, want 1",
            id="all namespaces and one",
        ),
        pytest.param({"auth": {"oidc": {"claims": {"rpm": "r"}}}}, "invalid propertyName 'rpm'", id="unknown claim"),
        pytest.param({"service": {"type": "Ingress"}}, "at '/gateway/service/type': value must be one of", id="type"),
    ],
)
def test_refuses(values: dict[str, Any], message: str):
    with pytest.raises(HelmError) as refusal:
        render({"gateway": values})

    assert message in str(refusal.value)
