"""The ShopAssistant resource: a customer service assistant of a shop, in front of a chat model.

The operator, the gateway and the assistant's pods read it; the pods get the spec as JSON.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.chatmodel import ObjectMeta
from chatscale.api.v1alpha1.common import (
    KEYED_BY_NAME,
    ApiModel,
    CelRule,
    LocalObjectRef,
    NonEmptyName,
    SecretKeyRef,
    not_stored,
)
from chatscale.api.v1alpha1.server import ResourceRequirements
from chatscale.api.v1alpha1.shopassistant_status import ShopAssistantStatus
from chatscale.names import MAX_NAME_LENGTH

HttpUrl = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^https?://[^\s]+$")]
PartName = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The name of a knowledge source or of a tool server: a DNS label, because volumes are named after it."""
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]
TimeOfDay = Annotated[str, StringConstraints(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Language(StrEnum):
    """A language that customers write in, as ISO 639-1."""

    CHINESE = "zh"
    ENGLISH = "en"
    FRENCH = "fr"


class ExternalModel(ApiModel):
    """A chat model outside Chatscale, behind an OpenAI-compatible API."""

    base_url: HttpUrl = Field(alias="baseURL", description="Address up to and without /chat/completions.")
    model: NonEmptyName = Field(description="Value of `model` in requests.")


class ModelWriting(StrEnum):
    """When the chat model may phrase an answer."""

    WHEN_EVALUATED = "WhenEvaluated"
    NEVER = "Never"
    ALWAYS = "Always"


class AssistantModel(ApiModel):
    """The chat model that may phrase answers."""

    cel_rules = (
        CelRule(
            "has(self.chatModel) != has(self.external)",
            "spec.model needs exactly one of chatModel and external",
        ),
    )

    chat_model: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None, description="A ChatModel in this namespace. The assistant calls it through the gateway."
    )
    external: ExternalModel | None = Field(default=None, description="A model outside Chatscale.")
    key_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="API key for the gateway or for the external model. Pods use a changed key within about a minute.",
    )
    writes: ModelWriting = Field(
        default=ModelWriting.WHEN_EVALUATED,
        description="WhenEvaluated: the model phrases answers only while `evaluation` holds a report in which this "
        "model passed with the weights that it has now. Never: answers are templates and quotes. Always: without a "
        "report, for trials. Every answer of the model passes the fact check in any case.",
    )
    evaluation: LocalObjectRef | None = Field(
        default=None, description="ConfigMap with the report of `chatscale evaluate`, under report.json."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=8, description="Without an answer of the model by then, the customer gets the answer without it."
    )


class KnowledgeKind(StrEnum):
    """What a source holds."""

    DOCUMENTS = "Documents"
    CATALOGUE = "Catalogue"
    REPLIES = "Replies"


class UrlSource(ApiModel):
    """A file that is fetched again at an interval."""

    url: HttpUrl = Field(description="Address of one text, Markdown, HTML, CSV or JSONL file.")
    interval_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        default=300, description="Seconds between two fetches."
    )


class KnowledgeSource(ApiModel):
    """Text that answers may use."""

    cel_rules = (
        CelRule(
            "[has(self.configMap), has(self.claim), has(self.url)].filter(each, each).size() == 1",
            "spec.knowledge[] needs exactly one of configMap, claim and url",
        ),
    )

    name: PartName = Field(description="Name of the source in citations.")
    kind: KnowledgeKind = Field(
        default=KnowledgeKind.DOCUMENTS,
        description="Documents: Markdown, text or HTML. Catalogue: CSV or JSONL, one product or variant a row. "
        "Replies: YAML with curated replies, which take precedence over everything else.",
    )
    config_map: NonEmptyName | None = Field(default=None, description="A ConfigMap; each key is a file.")
    claim: NonEmptyName | None = Field(
        default=None, description="A PersistentVolumeClaim; pods mount it read-only and read every file in it."
    )
    url: UrlSource | None = Field(default=None, description="A file behind HTTP.")


class ToolServer(ApiModel):
    """An MCP server with tools, such as orders and returns."""

    cel_rules = (
        CelRule(
            "!has(self.writes) || self.writes.all(each, each in self.allow)",
            "spec.tools[].writes must name tools of spec.tools[].allow",
        ),
    )

    name: PartName = Field(description="Name of the server.")
    mcp: HttpUrl = Field(description="Address of the MCP server (Streamable HTTP).")
    token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Bearer token for the MCP server. Pods use a changed token in their next session."
    )
    allow: Annotated[
        list[ToolName], Field(min_length=1, max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(description="Tools that the assistant may call. No other tool of the server is ever called.")
    writes: Annotated[list[ToolName], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})] = (
        Field(
            default_factory=list,
            description="Those of `allow` that change something. Each call needs the customer's confirmation of "
            "exactly its arguments and the customer's identity. The server must do an idempotency key once: the tool "
            "has the parameter idempotency_key, or the annotation idempotentHint.",
        )
    )
    pinned_digest: Annotated[str, StringConstraints(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="Digest of the descriptions and schemas of the allowed tools, as the status shows it. A server "
        "with other descriptions is refused. If left out: the digest that the operator saw first, in the status.",
    )


class Identity(ApiModel):
    """How the shop vouches for a customer: a signed token (JWT) with each request."""

    cel_rules = (
        CelRule("has(self.secretRef) != has(self.jwks)", "spec.identity needs exactly one of secretRef and jwks"),
    )

    secret_ref: SecretKeyRef | None = Field(default=None, description="Secret of HS256 signatures, at least 32 bytes.")
    jwks: HttpUrl | None = Field(default=None, description="Address of the JSON Web Key Set of the shop.")
    audience: NonEmptyName | None = Field(default=None, description="Expected `aud`. Defaults to the assistant's name.")
    customer_claim: NonEmptyName = Field(default="sub", description="Claim with the customer's id in the tools.")


class FactCheck(StrEnum):
    """What happens to a sentence of the model that the sources do not support."""

    ENFORCE = "Enforce"
    REPORT = "Report"


class OpeningHours(ApiModel):
    """When people answer."""

    time_zone: NonEmptyName = Field(default="UTC", description="IANA time zone, such as Europe/Paris.")
    days: Annotated[list[Annotated[int, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)] = Field(
        default_factory=lambda: [1, 2, 3, 4, 5], description="ISO weekdays: 1 is Monday."
    )
    open: TimeOfDay = Field(default="09:00", description="Start of the day, HH:MM.")
    close: TimeOfDay = Field(default="18:00", description="End of the day, HH:MM.")


class DeskType(StrEnum):
    """The interface of the desk that takes over."""

    WEBHOOK = "Webhook"
    CHATWOOT = "Chatwoot"


class HandOver(ApiModel):
    """How a person takes over."""

    type: DeskType = Field(default=DeskType.WEBHOOK, description="Webhook: one signed POST. Chatwoot: its public API.")
    url_secret_ref: SecretKeyRef = Field(
        description="Secret with the address of the desk, under the key; `signature` and, for Chatwoot, `apiToken` and "
        "`accountId` are further keys of the same Secret."
    )
    after_misses: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2, description="Questions in a row without an answer after which a person takes over."
    )
    opening_hours: OpeningHours | None = Field(
        default=None, description="If set: outside these hours the customer reads when people answer again."
    )


class Guardrails(ApiModel):
    """The limits of answers."""

    facts: FactCheck = Field(
        default=FactCheck.ENFORCE,
        description="Enforce: a sentence that the sources do not support never reaches a customer. Report: it is only "
        "counted, for trials.",
    )
    max_message_characters: Annotated[int, Field(ge=100, le=20_000)] = Field(
        default=4000, description="A longer message of a customer is refused with an error."
    )
    hand_over: HandOver | None = Field(
        default=None, description="If left out: the assistant gives `persona.contact` instead of handing over."
    )


class Persona(ApiModel):
    """How the assistant presents itself."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=60)] = Field(
        default="Shop assistant", description="Name in the opening sentence."
    )
    shop: Annotated[str, StringConstraints(max_length=120)] = Field(default="", description="Name of the shop.")
    style: Annotated[str, StringConstraints(max_length=2000)] = Field(
        default="", description="Instructions for the wording of the chat model. Facts and rules do not come from here."
    )
    contact: Annotated[str, StringConstraints(max_length=300)] = Field(
        default="", description="How customers reach a person, such as an e-mail address."
    )
    currency: Annotated[str, StringConstraints(max_length=3, pattern=r"^([A-Z]{3})?$")] = Field(
        default="", description="ISO 4217 code of prices without one, such as EUR. If left out: a bare number."
    )
    links: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=300)]], Field(max_length=64)] = (
        Field(
            default_factory=list,
            description="Web and e-mail addresses of the shop that answers may show, as its documents write them. A "
            "sentence with another address is not quoted. `contact` needs no entry.",
        )
    )


class Keep(StrEnum):
    """Which conversations are stored."""

    NOTHING = "Nothing"


class Privacy(ApiModel):
    """What is stored of conversations."""

    keep: Keep = Field(default=Keep.NOTHING, description="Nothing: no conversation is stored, logged or traced.")


class AssistantReplicas(ApiModel):
    """How many pods answer."""

    cel_rules = (
        CelRule("!has(self.max) || self.max >= self.min", "spec.replicas.max must be at least spec.replicas.min"),
    )

    min: Annotated[int, Field(ge=1, le=100)] = Field(default=2, description="Pods without load.")
    max: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="Pods at most. If set, an HPA scales by requests in flight, which Prometheus and an adapter must "
        "serve, as for ChatModels in mode HPA. If left out: always `min` pods.",
    )
    target_in_flight: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=8, description="Requests in flight per pod that the HPA aims at."
    )


class VectorStore(ApiModel):
    """A Postgres with pgvector, for more than about 100,000 chunks."""

    url_secret_ref: SecretKeyRef = Field(description="Secret with the connection string (postgresql://...).")


class ShopAssistantSpec(ApiModel):
    """One assistant of a shop."""

    model: AssistantModel = Field(description="The chat model that may phrase answers.")
    languages: Annotated[
        list[Language], Field(min_length=1, max_length=3, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default_factory=lambda: [Language.ENGLISH],
        description="Languages of answers. The first is used where a customer's language is none of them.",
    )
    persona: Persona = Field(default_factory=Persona, description="How the assistant presents itself.")
    knowledge: Annotated[list[KnowledgeSource], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="Documents, catalogue and curated replies that answers come from."
    )
    tools: Annotated[list[ToolServer], Field(max_length=8, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="MCP servers with tools for orders, stock and returns."
    )
    identity: Identity | None = Field(
        default=None, description="How the shop vouches for a customer. Without it no tool that needs a customer runs."
    )
    guardrails: Guardrails = Field(default_factory=Guardrails, description="The limits of answers.")
    privacy: Privacy = Field(default_factory=Privacy, description="What is stored of conversations.")
    store: VectorStore | None = Field(
        default=None,
        description="Index in Postgres. If left out: one SQLite file in each pod.",
        json_schema_extra=not_stored,
    )
    replicas: AssistantReplicas = Field(default_factory=AssistantReplicas, description="How many pods answer.")
    resources: ResourceRequirements = Field(
        default_factory=ResourceRequirements,
        description="Compute resources of each pod. If left out: it requests 500m CPU and 1Gi memory, and its limit is "
        "2Gi memory.",
    )
    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Container image. Defaults to the image that the chart sets."
    )
    image_pull_secrets: Annotated[list[LocalObjectRef], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list, description="As in a Pod."
    )


class ShopAssistant(ApiModel):
    """An assistant that answers a shop's customers from its documents, catalogue and tools."""

    cel_rules = (
        CelRule(
            f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
            f"metadata.name must have at most {MAX_NAME_LENGTH} characters, so that the names of its pods fit",
        ),
        CelRule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must be lower case letters, digits and '-', and start with a letter, as a Service's name",
        ),
        CelRule(
            "!has(self.spec.model.chatModel) || self.spec.model.chatModel != self.metadata.name",
            "spec.model.chatModel must be a ChatModel of another name: this one is the assistant's",
        ),
        CelRule(
            "!has(self.spec.tools) || has(self.spec.identity) || self.spec.tools.all(each, !has(each.writes) || "
            "each.writes.size() == 0)",
            "spec.tools[].writes needs spec.identity: nothing is changed for an unknown customer",
        ),
    )

    metadata: ObjectMeta
    spec: ShopAssistantSpec
    status: ShopAssistantStatus = Field(default_factory=ShopAssistantStatus)

    @property
    def key(self) -> str:
        """namespace/name, for messages and logs."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
