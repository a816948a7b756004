"""The Service of a ChatModel's replicas, and the URL for clients."""

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale_contract.server import endpoints


def build_service(chatmodel: ChatModel) -> Manifest:
    """A ClusterIP Service over the pods of every track; only Ready pods get requests."""
    return with_template_hash(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": child_metadata(chatmodel),
            "spec": {
                "type": "ClusterIP",
                "selector": names.pod_selector(chatmodel.metadata.name),
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
    return f"http://{chatmodel.metadata.name}.{chatmodel.metadata.namespace}.svc/v1"
