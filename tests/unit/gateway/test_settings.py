"""Settings: a variable is either valid, or refused in one line that names it."""

from ipaddress import ip_network

import pytest

from chatscale_gateway.settings import AuthMode, Settings
from chatscale_process.settings import LogFormat, SettingsError


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({"PATH": "/bin"}) == Settings()


def test_reads_every_setting():
    values = {
        "namespaces": "sales, support", "pod_name": "gw-1", "pod_namespace": "system", "instance": "prod",
        "api_port": "1", "admin_port": "2", "liveness_port": "3", "max_body_bytes": "2048", "max_held_bytes": "4096",
        "endpoint_delay_seconds": "5", "grace_seconds": "60", "response_timeout_seconds": "30", "log_level": "DEBUG",
        "log_format": "text", "kube_context": "kind-chatscale", "memory_limit_bytes": "1024", "path_prefix": "/llm",
        "pages": "false",
        "tls_cert_file": "/tls/tls.crt", "tls_key_file": "/tls/tls.key",
        "trusted_proxies": "10.0.0.0/8, fd00::/8",
        "cors_origins": "https://shop.example, *", "auth": "None", "key_namespaces": "shop, *",
        "oidc_issuer": "https://id.example/a", "oidc_audience": "chat", "oidc_jwks_url": "https://id.example/keys",
        "oidc_claims": '{"models": "groups"}', "oidc_policy": '{"requestsPerMinute": "60"}',
    }  # fmt: skip
    assert {*values, "otlp_endpoint"} == Settings.model_fields.keys()

    found = Settings.from_env(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
            **{f"CHATSCALE_GATEWAY_{name.upper()}": value for name, value in values.items()},
        }
    )

    assert found == Settings(
        namespaces=("sales", "support"), pod_name="gw-1", pod_namespace="system", instance="prod", api_port=1,
        admin_port=2, liveness_port=3, max_body_bytes=2048, max_held_bytes=4096, endpoint_delay_seconds=5,
        grace_seconds=60, response_timeout_seconds=30, log_level="DEBUG", log_format=LogFormat.TEXT,
        kube_context="kind-chatscale", memory_limit_bytes=1024, path_prefix="/llm", pages=False,
        tls_cert_file="/tls/tls.crt", tls_key_file="/tls/tls.key",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        cors_origins=("https://shop.example", "*"), auth=AuthMode.NONE, key_namespaces=("shop", "*"),
        oidc_issuer="https://id.example/a", oidc_audience="chat", oidc_jwks_url="https://id.example/keys",
        oidc_claims={"models": "groups"}, oidc_policy={"requestsPerMinute": "60"}, otlp_endpoint="http://collector:4318",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("API_PORT", "0", "CHATSCALE_GATEWAY_API_PORT must be a TCP port from 1 to 65535, found '0'"),
        ("ADMIN_PORT", "8080", "the ports must differ, found CHATSCALE_GATEWAY_API_PORT 8080, CHATSCALE_GATEWAY_ADMIN"),
        (
            "GRACE_SECONDS",
            "10",
            "ENDPOINT_DELAY_SECONDS must be below CHATSCALE_GATEWAY_GRACE_SECONDS, found 10 and 10",
        ),
        ("NAMESPACES", "a,B", "must be a comma-separated list of namespace names, found 'B'"),
        ("MAX_BODY_BYTES", "lots", "must be a number of bytes from 1024 to 1073741824, found 'lots'"),
        ("PATH_PREFIX", "/llm/", "must be a path such as /llm, without a slash at its end, found '/llm/'"),
        (
            "CORS_ORIGINS",
            "https://a, b",
            "must be a comma-separated list of origins such as https://shop.example, or *",
        ),
        ("OTLP_ENDPOINT", "http://a", "CHATSCALE_GATEWAY_OTLP_ENDPOINT is not a setting of the gateway; known are"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "must be a comma-separated list of networks without host bits, such as 10."),
        ("TLS_CERT_FILE", "/tls.crt", "TLS_CERT_FILE and CHATSCALE_GATEWAY_TLS_KEY_FILE must be set together, found"),
        ("LOG_FORMAT", "xml", "must be one of json, text, found 'xml'"),
        ("AUTH", "Basic", "must be one of Keys, None, found 'Basic'"),
        ("KEY_NAMESPACES", "shop,A", "must be a comma-separated list of namespace names, or *, found 'A'"),
        ("OIDC_ISSUER", "id.example", "must be a URL such as https://id.example/realms/shop, found 'id.example'"),
        ("OIDC_ISSUER", "https://id.example", "OIDC_AUDIENCE must be set together, found only one of them"),
        ("OIDC_CLAIMS", "{models", "must be a JSON object from fields of a policy to claims"),
        ("OIDC_CLAIMS", '{"models": 1}', "must be a JSON object from fields of a policy to claims"),
        ("OIDC_CLAIMS", '{"rpm": "a"}', "CHATSCALE_GATEWAY_OIDC_CLAIMS: rpm is not a field of a policy; fields are"),
        ("OIDC_POLICY", '{"wake": "{x}"}', "CHATSCALE_GATEWAY_OIDC_POLICY: wake must be true or false, found '{x}'"),
        ("LOGLEVEL", "DEBUG", "CHATSCALE_GATEWAY_LOGLEVEL is not a setting of the gateway; known are"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(name: str, value: str, message: str):
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({f"CHATSCALE_GATEWAY_{name}": value})
    assert message in str(refusal.value)


def test_variables_that_the_kubelet_sets_for_services_are_ignored():
    links = {
        "CHATSCALE_GATEWAY_PORT": "tcp://10.96.0.7:80",
        "CHATSCALE_GATEWAY_SERVICE_HOST": "10.96.0.7",
        "CHATSCALE_GATEWAY_METRICS_SERVICE_PORT_METRICS": "9100",
    }
    assert Settings.from_env(links) == Settings()
