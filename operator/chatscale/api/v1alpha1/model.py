"""The model that a ChatModel serves."""

from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.common import ApiModel, CelRule, SecretKeyRef


class ModelSource(ApiModel):
    """The model to serve, and its name in the API."""

    cel_rules = (
        CelRule(
            "self.uri.matches('^(hf://[^/]+/[^/]+|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/.*)?|file:///.+)$')",
            "spec.model.uri must be hf://OWNER/NAME, pvc://CLAIM/PATH or file:///PATH",
            "'spec.model.uri must be hf://OWNER/NAME, pvc://CLAIM/PATH or file:///PATH, found \"' + self.uri + '\"'",
        ),
    )

    uri: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="Location of the weights: hf://OWNER/NAME (Hugging Face Hub), pvc://CLAIM/PATH (a volume in this "
        "namespace) or file:///PATH (inside the server image). The Simulated engine does not read them.",
    )
    revision: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="Commit, tag or branch of an hf:// model. Only a commit guarantees that all pods serve the same "
        "weights.",
    )
    served_name: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="Model name in the OpenAI API. Defaults to the ChatModel's name.",
    )
    token_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret with the hub token for a gated model. A pod reads it when it starts: after a change of the "
        "Secret, running pods keep the old token. To restart them, change an annotation in spec.pod.annotations.",
    )
    chat_template: Annotated[str, StringConstraints(max_length=16_384)] | None = Field(
        default=None,
        description="Jinja chat template that replaces the tokenizer's.",
    )

    @property
    def weights(self) -> str:
        """Location and revision. The same text does not guarantee the same weights, unless the revision is a commit."""
        return f"{self.uri}@{self.revision}" if self.revision else self.uri
