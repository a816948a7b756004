"""The Service in front of the pods of a custom resource, and the URL for clients."""

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale_contract.server import endpoints


def build_service(chatmodel: ChatModel) -> Manifest:
    """A ClusterIP Service over the pods of every track; only Ready pods get requests."""
    return service_over(child_metadata(chatmodel), names.pod_selector(chatmodel.metadata.name))


def service_over(metadata: Manifest, pods: dict[str, str]) -> Manifest:
    """The Service. metadata: its own. pods: their labels."""
    return with_template_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "ClusterIP",
                "selector": pods,
                "ports": [
                    {
                        "name": endpoints.HTTP_PORT_NAME,
                        "port": names.SERVICE_PORT,
                        "targetPort": endpoints.HTTP_PORT_NAME,
                        "protocol": "TCP",
                    }
                ],
            },
        }
    )


def endpoint_url(chatmodel: ChatModel) -> str:
    """The base URL for an OpenAI client inside the cluster."""
    return base_url(chatmodel.metadata.name, chatmodel.metadata.namespace)


def base_url(service: str, namespace: str) -> str:
    """As `endpoint_url`."""
    return f"http://{service}.{namespace}.svc/v1"
